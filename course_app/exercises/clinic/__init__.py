"""Exercise 16: a patient drawn by a seed; the two causes, where they are, and a mended app."""

from course_app.exercises.clinic import reference
from course_app.exercises.clinic.baseline import as_found
from course_app.exercises.clinic.diagnosis import names_the_causes
from course_app.exercises.clinic.repairs import mends_both
from course_app.exercises.clinic.right_answers import RIGHT_ANSWERS
from course_app.exercises.clinic.rubric import faster, fresh_answers, same_answers
from course_app.exercises.clinic.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="16_clinic",
    title="Two causes and a rumour",
    baseline=as_found,
    reference=reference.create_app,
    rubric=(same_answers, fresh_answers, names_the_causes, mends_both, faster),
    hints=(
        "What people say is where they looked, not where the time goes. Ask each of the seven "
        "routes alone with lab.measure, and write down its p50 and its counts.",
        "Two routes are out of line. Too many statements, buffers or connections per request name "
        "their cause at once. Where no count is high, somebody waits or computes: lab.trace shows "
        "what is awaited in turn, lab.profile which function runs.",
        "One of the six causes shows only when others ask at the same time: compare each route "
        "with 1 and with 12 clients. If nothing is used up and each waits for all others, the "
        "loop is taken.",
        "The cures: one statement for all rows (a join, or `= ANY($1)`); an index on the column "
        "that is filtered by; a connection from the pool; `asyncio.gather`; a plain `def` for what "
        "blocks; a response model. Each is a change of a few lines, and nothing else has to go.",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
    values=("seed", "findings"),
    reference_values={"seed": reference.seed, "findings": reference.findings},
)
