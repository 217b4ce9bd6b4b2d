"""Exercise 07: a service that compresses everything learns what is worth it."""

from course_app.exercises.compression import rubric
from course_app.exercises.compression.baseline import guides_line
from course_app.exercises.compression.reference import create_app, levels
from course_app.exercises.compression.right_answers import RIGHT_ANSWERS
from course_app.exercises.compression.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="07_compression",
    title="Compress only what is worth it",
    baseline=guides_line,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.negotiated,
        rubric.fresh_answers,
        rubric.compresses,
        rubric.leaves_alone,
        rubric.refuses,
        rubric.loop_is_free,
        rubric.cheaper,
        rubric.chooses,
        rubric.streams,
    ),
    given=(
        rubric.same_answers,
        rubric.negotiated,
        rubric.fresh_answers,
        rubric.compresses,
        rubric.loop_is_free,
        rubric.streams,
    ),
    hints=(
        "List the endpoints, and write beside each: how many bytes, how dense, over which link. "
        "Compression is worth it where all three say so.",
        "Read the signature of Starlette's `GZipMiddleware`. Three of its parameters are "
        "three of your answers; the guide sets one of them.",
        "What it cannot know is who asks. A middleware is a class with `__call__(scope, receive, "
        'send)`, and `scope["path"]` is the path: hold the app twice, once inside of a '
        "`GZipMiddleware` and once as it is, and choose.",
        "For `levels`: compress one list with each level, measure `time.thread_time()` and `len`, "
        "and for each link add up CPU and bits / speed. The last client's best level is none.",
    ),
    right_answers=RIGHT_ANSWERS,
    wrong_answers=WRONG_ANSWERS,
    values=("levels",),
    reference_values={"levels": levels},
)
