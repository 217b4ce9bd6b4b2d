"""Exercise 15: an app that serves what it can when more comes than it can serve."""

from course_app.exercises.overload import rubric
from course_app.exercises.overload.baseline import takes_everything
from course_app.exercises.overload.reference import create_app
from course_app.exercises.overload.right_answers import RIGHT_ANSWERS
from course_app.exercises.overload.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="15_overload",
    title="Serve what you can",
    baseline=takes_everything,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.recovers,
        rubric.refuses,
        rubric.spares,
        rubric.goodput,
        rubric.healthy,
        rubric.rests,
    ),
    given=(rubric.same_answers,),
    hints=(
        "Where do requests wait here? A handler that computes is never interrupted: whoever counts "
        "inside of it counts to one. What has not begun waits on the event loop, where the app "
        "sees nothing of it. Let requests wait somewhere else: in a line that the app keeps.",
        "A line of your own: an `asyncio.Semaphore(1)` is taken before the work, and within it "
        "comes one `await asyncio.sleep(0)`. Then the loop reads after each seal who has come "
        "meanwhile, and answers `/health`.",
        "Keep when each request came that is in line. While the first of them has waited for more "
        "than 30 ms, refuse whoever comes, at once. That is right on a slow machine as well, and "
        "it ends by itself.",
        "Refuse in pure ASGI, before FastAPI has done anything: `await PlainTextResponse('Busy', "
        "503, {'Retry-After': '2'})(scope, receive, send)`, and `app.add_middleware(YourClass)`. "
        "Leave the line in a `finally`.",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
)
