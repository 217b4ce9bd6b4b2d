"""Exercise 11: a limiter that answers 500 in one process gets right, for any number of them."""

from course_app.exercises.rate_limiting import rubric
from course_app.exercises.rate_limiting.baseline import limited_in_memory
from course_app.exercises.rate_limiting.reference import create_app
from course_app.exercises.rate_limiting.right_answers import RIGHT_ANSWERS
from course_app.exercises.rate_limiting.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="11_rate_limiting",
    title="One limit, whatever the number of workers",
    baseline=limited_in_memory,
    reference=create_app,
    rubric=(
        rubric.refuses,
        rubric.tells_when,
        rubric.crowd,
        rubric.three_workers,
        rubric.slides,
        rubric.state_in_valkey,
        rubric.one_round_trip,
        rubric.keys_expire,
    ),
    hints=(
        "Begin with what the client gets: make the refusal a real 429, with everything still in "
        "memory. Then move what is remembered to Valkey.",
        "A refusal may be raised in a dependency: `FastAPI(dependencies=[Depends(...)])` runs it "
        "for each of your paths. It can ask for the key with `Annotated[str | None, Header()]`.",
        "`valkey.register_script(text)` gives a function: `await run([key], [limit, window])`. "
        "What the script returns is the answer: let it be how long to wait, 0 for not at all.",
        "Let the script keep the times of the last requests that passed in a list, the newest "
        "first (LPUSH, LTRIM, PEXPIRE). `LINDEX key (limit - 1)` is the one that decides; TIME is "
        "a clock that all workers share.",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
)
