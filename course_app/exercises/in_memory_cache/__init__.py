"""Exercise 08: a report that is made for each request gets a cache in memory."""

from course_app.exercises.in_memory_cache import rubric
from course_app.exercises.in_memory_cache.baseline import report_for_each_request
from course_app.exercises.in_memory_cache.reference import create_app
from course_app.exercises.in_memory_cache.right_answers import RIGHT_ANSWERS
from course_app.exercises.in_memory_cache.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="08_in_memory_cache",
    title="Make the report once, for all who ask",
    baseline=report_for_each_request,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.own_marks,
        rubric.fresh_answers,
        rubric.hits_are_free,
        rubric.one_fetch,
        rubric.faster,
        rubric.errors_are_not_kept,
        rubric.bounded,
    ),
    given=(
        rubric.same_answers,
        rubric.own_marks,
        rubric.fresh_answers,
        rubric.errors_are_not_kept,
        rubric.bounded,
    ),
    hints=(
        "Leave `load` as it is. The handler asks a function in front of it, which looks into a "
        "cache first. What does a report depend on, and what does it not depend on? That is its "
        "key.",
        "`cachetools.TTLCache(maxsize=..., ttl=...)` has a bound and an expiry. Take values out "
        "with `get`: an entry may expire between `in` and `[...]`.",
        "For one fetch at a time for each key, keep a dictionary of the tasks that are under way. "
        "Who finds none makes one; everybody awaits `asyncio.shield(task)`; the task takes itself "
        "out of the dictionary in a `finally`.",
        "The mark `you` belongs to one reader. Make a new list for the answer, with a new "
        'dictionary for the one author that is marked: `{**author, "you": True}`.',
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
)
