"""Exercise 10: customers wait for letters; they need not, and no letter may be lost for it."""

from course_app.exercises.background_tasks import rubric
from course_app.exercises.background_tasks.baseline import shop_that_waits
from course_app.exercises.background_tasks.reference import create_app
from course_app.exercises.background_tasks.right_answers import RIGHT_ANSWERS
from course_app.exercises.background_tasks.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="10_background_tasks",
    title="Answer first, lose nothing",
    baseline=shop_that_waits,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.saved,
        rubric.exactly_once,
        rubric.answers_first,
        rubric.loop_is_free,
        rubric.faster,
        rubric.bounded,
        rubric.nothing_lost,
    ),
    given=(rubric.same_answers, rubric.saved, rubric.exactly_once),
    hints=(
        "Which lines of the handler does the customer's answer depend on, and which could run "
        "when it is out?",
        "A parameter `background: BackgroundTasks` and `background.add_task(function, ...)` is all "
        "that FastAPI needs. Whether the function is `def` or `async def` decides where it runs: "
        "`deliver` blocks.",
        "The two letters of an order are independent. What happens to the second one if the "
        "function that delivers the first one raises?",
        "Write a plain `def notify(order, address)` with the `try` and the `deliver` of the slow "
        "shop, and add it as a task once for each address.",
    ),
    right_answers=RIGHT_ANSWERS,
    wrong_answers=WRONG_ANSWERS,
)
