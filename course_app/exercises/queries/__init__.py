"""Exercise 05: a report that asks too often, for too much, and reads the whole table for it."""

from course_app.exercises.queries import rubric
from course_app.exercises.queries.baseline import slow_report
from course_app.exercises.queries.reference import create_app
from course_app.exercises.queries.right_answers import RIGHT_ANSWERS
from course_app.exercises.queries.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="05_queries",
    title="A report in one query",
    baseline=slow_report,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.fresh_answers,
        rubric.stable_pages,
        rubric.few_statements,
        rubric.few_buffers,
        rubric.no_bodies,
        rubric.faster,
        rubric.refuses,
    ),
    hints=(
        "Four things are wrong: how often it asks, which columns it asks for, how it finds the "
        "newest posts, and how it finds the next page. Take them one by one; "
        "EXPLAIN (ANALYZE, BUFFERS) tells the last two.",
        "An index on `(created_at, id)` can be read from its end, so `ORDER BY` needs no sort. "
        "Create it in the lifespan with `CREATE INDEX IF NOT EXISTS`.",
        "A place in the list is a pair: `created_at` and `id` of the last post seen. Write both "
        "into the cursor, and compare rows: `WHERE (created_at, id) < ($2, $3)`.",
        "Make the page in a subquery with LIMIT first; around it, LEFT JOIN users, "
        "and ARRAY(SELECT tags.name ...) for the tags. That is one statement. Parse the cursor and "
        "make its time UTC in a function that turns ValueError and OverflowError into "
        "HTTPException(422).",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
)
