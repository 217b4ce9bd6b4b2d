"""Exercise 01: a stopwatch that is right where it matters, and costs next to nothing."""

from course_app.exercises.baseline import rubric
from course_app.exercises.baseline.baseline import timed_by_the_guide
from course_app.exercises.baseline.reference import create_app
from course_app.exercises.baseline.right_answers import RIGHT_ANSWERS
from course_app.exercises.baseline.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="01_baseline",
    title="A stopwatch that tells the truth",
    baseline=timed_by_the_guide,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.header_everywhere,
        rubric.true_values,
        rubric.streams,
        rubric.no_extra_task,
        rubric.monotonic,
        rubric.cheap,
        rubric.errors_reach_the_log,
    ),
    hints=(
        "An ASGI app is a function of `scope`, `receive` and `send`. `create_app` may return one "
        "of yours that calls the test bench's app, so that nothing of it is outside of yours.",
        "`send` is called with messages. Give the inner app a `send` of your own, which looks "
        'for `message["type"] == "http.response.start"` and passes every message on.',
        "Keep the start in a local variable of the call: each request is a call of its own.",
        "`try: await app(scope, receive, send_timed)` and `finally:` append the note. Anything "
        'whose `scope["type"]` is not "http" (the lifespan!) goes to the app unchanged.',
    ),
    right_answers=RIGHT_ANSWERS,
    wrong_answers=WRONG_ANSWERS,
)
