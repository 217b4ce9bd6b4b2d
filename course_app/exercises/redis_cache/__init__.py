"""Exercise 09: a costly report gets a cache that is never wrong, a cheap lookup loses its own."""

from course_app.exercises.redis_cache import rubric
from course_app.exercises.redis_cache.baseline import as_it_is
from course_app.exercises.redis_cache.reference import MEASURED, create_app
from course_app.exercises.redis_cache.right_answers import RIGHT_ANSWERS
from course_app.exercises.redis_cache.wrong_answers import WRONG_ANSWERS
from course_app.grading import Exercise

exercise = Exercise(
    slug="09_redis_cache",
    title="A shared cache that is never wrong",
    baseline=as_it_is,
    reference=create_app,
    rubric=(
        rubric.same_answers,
        rubric.fresh,
        rubric.no_statements,
        rubric.shared,
        rubric.users_go_directly,
        rubric.faster,
        rubric.everything_expires,
        rubric.without_valkey,
        rubric.after_an_outage,
        rubric.with_a_slow_reader,
    ),
    given=(rubric.same_answers, rubric.fresh),
    hints=(
        "Begin with the read: `get` the entry, ask PostgreSQL if there is none, `set` it with an "
        "expiry. Store the JSON that the answer consists of, and hand it on as it is: "
        "`Summary(**row).model_dump_json()`.",
        "Then the writes. Write an async function `changed(*, tag_id=None, post_id=None)`, which "
        "add_writes calls. For a post, PostgreSQL knows its tags: post_tags. Delete their entries.",
        "Then Valkey's absence. One place for all calls: `try: return await command(...)`, `except "
        "redis.RedisError: return None`. Keep the tags whose entries could not be deleted in a "
        "set, and as long as it is not empty, delete first and believe nothing.",
        "At last the slow reader. Read two keys with one `mget`: the tag's stamp and the entry. "
        "The entry begins with the stamp that held when its reader began. A write does not delete, "
        "it sets a new random stamp, which lives longer than any entry.",
    ),
    wrong_answers=WRONG_ANSWERS,
    right_answers=RIGHT_ANSWERS,
    values=("measured",),
    reference_values={"measured": MEASURED},
    valkey_can_go_away=True,
)
