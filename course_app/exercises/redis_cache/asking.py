"""Writes and reads of summaries, and the truth that answers are compared with."""

from collections.abc import Callable
from typing import Any

import redis

from course_app.exercises.redis_cache.baseline import SUMMARY, Summary
from course_app.exercises.redis_cache.failures import HangsWithoutValkey, NotUsedAgain
from course_app.grading import Candidate, Exam, Failure
from course_app.grading.failures import StoppedAnswering
from course_app.grading.overlap import Timed
from course_app.load import Request, Response, Workload, choice, get, mix, post, put
from course_app.system.waiting import wait_until

#: Tags of some hundred posts each: asked for by the dozen, the longest queries take too long.
TAGS = range(100, 176)
#: Those that are written to before the race: only the learner's database has these writes, and in
#: the race the learner's answers are compared with the reference's.
_WRITTEN_TAGS = range(176, 201)
#: What the text of the exercise allows; the last one is what a busy machine needs beside that.
LONGEST_WAIT_SECONDS = 1.0
_USED_AGAIN_SECONDS = 3.0
_PATIENCE_SECONDS = 4.0
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
    judge_summary(exam, answer, tag_id, failure)


def judge_summary(exam: Exam, answer: Response, tag_id: int, failure: type[Failure]) -> None:
    """As :func:`require_true`, of an answer that is there."""
    wanted = truth(exam.learner, tag_id)
    if answer.status != 200 or answer.json() != wanted:
        exam.not_written_yet()
        raise failure(f"{answer.status} {answer.text[:120]}", str(wanted))


def send(exam: Exam, request: Request, failure: type[Failure]) -> Response:
    """Send the learner a write, which has to succeed."""
    (answer,) = exam.ask(exam.learner, request)
    judge_write(exam, answer, request, failure)
    return answer


def judge_write(exam: Exam, answer: Response, request: Request, failure: type[Failure]) -> None:
    """As :func:`send`, of an answer that is there."""
    if answer.status not in request.expect_status:
        exam.not_written_yet()
        line = answer.request_text.partition("\r\n")[0]
        raise failure(f"{line}: {answer.status} {answer.text[:80]}", "a write that succeeds")


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


def in_silence(exam: Exam, requests: list[Request], wanted: str) -> list[Timed]:
    """The learner's answers to requests that come together.

    Raises:
        HangsWithoutValkey: one of them comes too late, or not at all.
    """
    try:
        answers = exam.overlap(exam.learner, requests)
    except StoppedAnswering as error:
        raise HangsWithoutValkey(error.observed, wanted) from error
    for each in answers:
        if each.seconds > LONGEST_WAIT_SECONDS:
            line = each.response.request_text.partition("\r\n")[0]
            raise HangsWithoutValkey(f"{line}: {each.seconds:.1f} s", wanted)
    return answers


def until_used(exam: Exam, read: Callable[[], object]) -> None:
    """Read again and again until Valkey serves it: an app may leave Valkey alone after an outage.

    Raises:
        NotUsedAgain: it does not, for longer than it may.
    """
    if not (exam.once(uses_valkey) and served(exam, read)):
        wanted = f"served by Valkey again within {_USED_AGAIN_SECONDS:g} s"
        raise NotUsedAgain(f"no key found in Valkey for {_PATIENCE_SECONDS:g} s", wanted)
    read()  # what came first in the last round was perhaps not asked of Valkey yet


def uses_valkey(exam: Exam) -> bool:
    """Asked before Valkey was away: for who never uses it, nobody waits again."""
    (tag_id,), _reads = summaries(exam, 1)
    return served(exam, lambda: exam.ask(exam.learner, summary_of(tag_id)))


def served(exam: Exam, read: Callable[[], object]) -> bool:
    """Whether Valkey finds keys meanwhile, before the patience is over."""

    def keys_found() -> int:
        return int(in_valkey(exam, lambda client: client.info("stats")["keyspace_hits"]))

    def found() -> bool:
        read()
        return keys_found() > before

    before = keys_found()
    return wait_until(found, _PATIENCE_SECONDS)
