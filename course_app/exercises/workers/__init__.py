"""Exercise 12: server, workers and pool for three services, within a budget."""

from course_app.exercises.workers import rubric
from course_app.exercises.workers.baseline import as_the_guide_says
from course_app.exercises.workers.reference import create_app
from course_app.exercises.workers.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="12_workers",
    title="Three services, one machine",
    baseline=as_the_guide_says,
    reference=create_app,
    rubric=(
        rubric.fits_on_paper,
        rubric.serves,
        rubric.within_budget,
        rubric.workers_that_help,
        rubric.large_enough,
        rubric.cheap_enough,
        rubric.explained,
    ),
    hints=(
        "Ask of each service what its requests do most of the time: compute, wait for others, or "
        "hold a connection. Only one of these needs cores, and only one needs connections.",
        "Measure each service with one worker and with two, before you decide. A worker that gives "
        "nothing stays at home: then the figures for one and for two are your reason.",
        "Little's law for the pool: 300 reports per second, each of which holds a connection for "
        "25 ms. And 48 clients must not wait for a second: 48 x 25 ms / pool.",
        "Budget for connections: the services that never ask PostgreSQL need none. Budget for "
        "memory: print pss_bytes() for one worker and two; a second one brings a parent along.",
    ),
    wrong_answers=WRONG_ANSWERS,
    uses=("postgres_dsn",),
)
