"""Writes and reads of summaries, and the truth that answers are compared with."""

from collections.abc import Callable
from typing import Any

import redis

from course_app.exercises.redis_cache.baseline import SUMMARY, Summary
from course_app.grading import Candidate, Exam, Failure
from course_app.load import Request, Response, Workload, choice, get, mix, post, put

#: Tags of some hundred posts each: asked for by the dozen, the longest queries take too long.
TAGS = range(100, 176)
#: Those that are written to before the race: only the learner's database has these writes, and in
#: the race the learner's answers are compared with the reference's.
_WRITTEN_TAGS = range(176, 201)
_POSTS_WITH_TWO = """
SELECT post_id, array_agg(tag_id) FROM post_tags WHERE post_id %% 20 = %s
GROUP BY post_id HAVING count(*) > 1 AND min(tag_id) >= %s"""


def summaries(exam: Exam, count: int) -> tuple[list[int], Workload]:
    """Some tags that nobody could foresee, and reads of their summaries."""
    tags = exam.random.sample(TAGS, count)
    return tags, mix(get("/tags/{id}/summary", id=choice(tags)))


def tag_to_write(exam: Exam) -> int:
    """A tag that no answer of the race is about."""
    return exam.random.choice(_WRITTEN_TAGS)


def summary_of(tag_id: int) -> Request:
    return get(f"/tags/{tag_id}/summary")


def truth(candidate: Candidate, tag_id: int) -> Any:
    """What PostgreSQL says of a tag now, as JSON would bring it."""
    query = SUMMARY.replace("$1", "%s")
    ((number, name, posts, comments, newest),) = candidate.workspace.execute(query, tag_id)
    found = Summary(id=number, name=name, posts=posts, comments=comments, newest=newest)
    return found.model_dump(mode="json")


def require_true(exam: Exam, tag_id: int, failure: type[Failure]) -> None:
    """Raises ``failure`` unless the learner's summary of the tag is that of now."""
    (answer,) = exam.ask(exam.learner, summary_of(tag_id))
    wanted = truth(exam.learner, tag_id)
    if answer.status != 200 or answer.json() != wanted:
        exam.not_written_yet()
        raise failure(f"{answer.status} {answer.text[:120]}", str(wanted))


def send(exam: Exam, request: Request, failure: type[Failure]) -> Response:
    """Send the learner a write, which has to succeed."""
    (answer,) = exam.ask(exam.learner, request)
    if answer.status not in request.expect_status:
        exam.not_written_yet()
        line = answer.request_text.partition("\r\n")[0]
        raise failure(f"{line}: {answer.status} {answer.text[:80]}", "a write that succeeds")
    return answer


def rename(exam: Exam, tag_id: int) -> Request:
    name = f"tag-{exam.random.getrandbits(40):x}"
    return put(f"/tags/{tag_id}", json={"name": name}, expect_status=204)


def comment_on(post_id: int) -> Request:
    words = {"author_id": 1, "body": "One more."}
    return post(f"/posts/{post_id}/comments", json=words, expect_status=201)


def with_tags(exam: Exam) -> tuple[int, list[int]]:
    """A post with at least two tags, and these; no answer of the race is about them."""
    values = exam.random.randrange(20), _WRITTEN_TAGS[0]
    posts = exam.learner.workspace.execute(_POSTS_WITH_TWO, *values)
    post_id, tags = exam.random.choice(posts)
    return post_id, tags


def in_valkey(exam: Exam, look: Callable[[Any], Any]) -> Any:
    """Look into the learner's Valkey, past the app."""
    url = exam.learner.workspace.owner_valkey_url or ""
    with redis.Redis.from_url(url) as client:
        return look(client)
