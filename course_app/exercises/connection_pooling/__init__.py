"""Exercise 04: an app that connects for each request gets a pool."""

from course_app.exercises.connection_pooling import rubric
from course_app.exercises.connection_pooling.baseline import connect_per_request
from course_app.exercises.connection_pooling.reference import create_app
from course_app.exercises.connection_pooling.right_answers import RIGHT_ANSWERS
from course_app.exercises.connection_pooling.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="04_connection_pooling",
    title="Connect once, not for each request",
    baseline=connect_per_request,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.fresh_answers,
        rubric.no_sessions,
        rubric.side_by_side,
        rubric.within_budget,
        rubric.faster,
        rubric.says_busy,
        rubric.closes,
    ),
    given=(rubric.same_answers, rubric.fresh_answers, rubric.side_by_side, rubric.closes),
    hints=(
        "Count first: which line of the slow app makes PostgreSQL start a session, and how often "
        "does it run?",
        "The handlers may stay as they are. Only the dependency `connection` changes: it borrows "
        "a connection and gives it back. The pool that it borrows from is opened in a lifespan "
        "and closed after its `yield`.",
        "`asyncpg.create_pool(dsn, min_size=..., max_size=...)` is an asynchronous context "
        "manager, and `pool.acquire(timeout=...)` raises TimeoutError when its time is over.",
        "In the dependency: try to acquire with a timeout of one second, turn TimeoutError into "
        "HTTPException(503), then yield the connection inside of try ... finally: release.",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
)
