"""Exercise 14: the guide's blog becomes fast, and its lists become right."""

from course_app.exercises.blog_api import rubric
from course_app.exercises.blog_api.baseline import slow_blog
from course_app.exercises.blog_api.reference import create_app
from course_app.exercises.blog_api.right_answers import RIGHT_ANSWERS
from course_app.exercises.blog_api.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="14_blog_api",
    title="The fastest blog that is never wrong",
    baseline=slow_blog,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.never_stale,
        rubric.refuses,
        rubric.few_buffers,
        rubric.few_statements,
        rubric.one_query_for_a_crowd,
        rubric.faster,
        rubric.entries_expire,
    ),
    hints=(
        "First make it right: which lists change when a post is added, and which never do? A page "
        "that begins below a post is none of those that change.",
        "Keep the newest page together with a version, and let each write make a new version "
        "after the INSERT and before the answer. Read both keys with one MGET.",
        "Create the index on (created_at DESC, id DESC) in the lifespan. Then look at what a hit "
        "costs: a middleware by decorator, json.loads, and the response model all work on bytes "
        "that were right already. Return a Response with these bytes.",
        "Of fifty who miss the same entry, one should ask PostgreSQL: keep the task that loads it "
        "in a dictionary, and let the others await the same task (asyncio.shield).",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
)
