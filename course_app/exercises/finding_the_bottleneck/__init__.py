"""Exercise 13: a load test, a finding, and a repair; the bottleneck follows from a seed."""

from course_app.exercises.finding_the_bottleneck import rubric
from course_app.exercises.finding_the_bottleneck.baseline import slow_newsroom
from course_app.exercises.finding_the_bottleneck.reference import (
    FINDING,
    LOCUSTFILE,
    SEED,
    create_app,
)
from course_app.exercises.finding_the_bottleneck.right_answers import RIGHT_ANSWERS
from course_app.exercises.finding_the_bottleneck.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="13_finding_the_bottleneck",
    title="Find the bottleneck, and repair it",
    baseline=slow_newsroom,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.names_the_bottleneck,
        rubric.load_tests,
        rubric.faster,
        rubric.few_names,
    ),
    hints=(
        "Begin with the locustfile: one task for each of the three endpoints, HttpUser, a name "
        "for each. Run it with lab.load_test and look at the medians.",
        "`with self.client.get(path, name=..., catch_response=True) as response:` lets you decide "
        "what a failure is: response.failure('...'). An answer that is about another id is one.",
        "Now trace one request of the slowest endpoint. Many bars: statements. One long bar: look "
        "at buffers and rows with lab.measure. A gap: lab.profile says which function.",
        "The stage's code: `inspect.getsource(as_found[page][stage])`. A condition that "
        "computes with a column cannot use its index; a query in a loop wants `= ANY($1)`; work "
        "in a loop that does not depend on the loop can be done before it.",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
    values=("seed", "locustfile", "finding"),
    reference_values={"seed": SEED, "locustfile": LOCUSTFILE, "finding": FINDING},
)
