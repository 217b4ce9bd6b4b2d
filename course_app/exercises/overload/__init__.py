"""Exercise 15: an app that serves what it can when more comes than it can serve."""

from course_app.exercises.overload import rubric
from course_app.exercises.overload.baseline import takes_everything
from course_app.exercises.overload.reference import create_app
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
    hints=(
        "TODO",
    ),
    wrong_answers=WRONG_ANSWERS,
)
