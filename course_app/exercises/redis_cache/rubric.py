"""How answers are judged: never wrong, no statement on a hit, and an app that needs no Valkey."""

import time
from collections.abc import Callable
from typing import Any

from course_app.exercises.redis_cache.asking import (
    LONGEST_WAIT_SECONDS,
    comment_on,
    in_silence,
    in_valkey,
    judge_summary,
    judge_write,
    rename,
    require_true,
    send,
    served,
    summaries,
    summary_of,
    tag_to_write,
    until_used,
    uses_valkey,
    with_tags,
)
from course_app.exercises.redis_cache.failures import (
    CachesInVain,
    FailsWithoutValkey,
    HangsWithoutValkey,
    KeepsNothing,
    LateReader,
    NeverExpires,
    NotCached,
    NotMeasured,
    NotShared,
    StaleAfterOutage,
    StaleAnswer,
)
from course_app.grading import (
    Evidence,
    Exam,
    Failure,
    contract,
    hygiene,
    mechanism,
    speed,
)
from course_app.grading.failures import StoppedAnswering
from course_app.load import choice, get, mix, post, put, uniform

#: What the text of the exercise allows.
LONGEST_EXPIRY_SECONDS = 3600

_USER_READS = get("/users/{id}", id=uniform(1, 100_000))
_OTHERS = mix(
    get("/users/{id}", id=uniform(1, 50), weight=4),
    get("/users/{id}", id=uniform(200_000, 900_000), expect_status=404),
    get("/tags/{id}/summary", id=choice([5000, 5001]), expect_status=404, weight=3),
    get("/{kind}/many/summary", kind="tags", expect_status=422),
    put("/tags/5000", json={"name": "none"}, expect_status=404),
    post("/posts/900000/comments", json={"author_id": 1, "body": "?"}, expect_status=404),
)
#: The longest queries: a write has time to overtake them.
_POPULAR = "SELECT tag_id FROM post_tags GROUP BY tag_id ORDER BY count(*) DESC LIMIT 3"
#: For each request; of 120 two may be the first for their tag.
_A_FEW, _NEARLY_ONE = 0.02, 0.9
#: How long a returned Valkey is watched, from when it is used again.
_WATCHED_SECONDS = 1.2
#: Two commands and a validation cost less than five lookups: more is a percentage, or invented.
_MOST_TIMES = 5.0
#: Entries of users live for a minute: some may be there from what was measured before.
_HITS_TOLERANCE = 0.25


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Every answer is as before, the first time and the next: also 404 and 422."""
    exam.same_answers(_OTHERS, 20)
    _tags, reads = summaries(exam, 3)
    return exam.same_answers(reads, 12)


@contract(points=1)
def fresh(exam: Exam) -> Evidence:
    """After each write, the next answer shows it: a comment, a new name, a new tag."""
    post_id, tags = with_tags(exam)
    for tag_id in tags:
        require_true(exam, tag_id, StaleAnswer)
    send(exam, comment_on(post_id), StaleAnswer)
    for tag_id in tags:
        require_true(exam, tag_id, StaleAnswer)
    send(exam, rename(exam, tags[0]), StaleAnswer)
    require_true(exam, tags[0], StaleAnswer)
    ((last,),) = exam.learner.workspace.execute("SELECT max(id) FROM tags")
    exam.ask(exam.learner, summary_of(last + 1))
    made = post("/tags", json={"name": "brand-new"}, expect_status=201)
    require_true(exam, send(exam, made, StaleAnswer).json()["id"], StaleAnswer)
    return Evidence("3 kinds of writes seen at once", "every write")


@mechanism(points=1)
def no_statements(exam: Exam) -> Evidence:
    """A summary that was asked for before costs no SQL statement: it comes from Valkey."""
    return _served_by_valkey(exam, NotCached, lambda: None)


@mechanism(points=1)
def shared(exam: Exam) -> Evidence:
    """The cache is Valkey's: it outlives the app, and where it is emptied, nothing old is left."""
    _served_by_valkey(exam, NotShared, exam.learner.restart)
    tag_id = tag_to_write(exam)
    # First, too: else the stamp of an earlier write goes later, and nobody sees a copy elsewhere.
    in_valkey(exam, lambda client: client.flushdb())
    require_true(exam, tag_id, NotShared)
    change = "UPDATE tags SET name = 'by somebody else' WHERE id = %s"
    exam.learner.workspace.execute(change, tag_id)
    in_valkey(exam, lambda client: client.flushdb())
    require_true(exam, tag_id, NotShared)
    return Evidence("both", "both")


@mechanism(points=1)
def users_go_directly(exam: Exam) -> Evidence:
    """Users, all asked for alike, are not cached, and a measurement says why."""
    in_valkey(exam, lambda client: client.flushdb())
    counts = exam.count(exam.learner, _USER_READS)
    commands = counts.get("Valkey commands") or 0.0
    if commands > 0.05:
        observed = f"{commands:.1f} commands, {counts['cache hits']:.2f} hits a request"
        raise CachesInVain(observed, "no command to Valkey")
    hits = exam.count(exam.baseline, _USER_READS)["cache hits"]
    _require_measured(exam.values.get("measured"), hits)
    return Evidence(f"no command to Valkey; it would hit {hits:.2f} times a request", "the same")


@speed(points=1)
def faster(exam: Exam) -> Evidence:
    """Summaries: at least half of the reference's gain, 4 requests at a time."""
    _tags, reads = summaries(exam, 8)
    return exam.speed(reads, concurrency=4)


@hygiene(points=1)
def everything_expires(exam: Exam) -> Evidence:
    """Summaries are kept in Valkey, and every key expires, within an hour."""
    tags, _reads = summaries(exam, 2)
    for request in (summary_of(tags[0]), rename(exam, tags[1]), summary_of(5002)):
        exam.ask(exam.learner, request)

    def left(client: Any) -> dict[str, int]:
        return {key.decode("utf-8", "replace"): client.ttl(key) for key in client.scan_iter()}

    seconds = in_valkey(exam, left)
    wanted = f"1 to {LONGEST_EXPIRY_SECONDS} s for every key"
    for key, ttl in seconds.items():
        if ttl == -1 or ttl > LONGEST_EXPIRY_SECONDS:
            raise NeverExpires(f"{key}: {'no expiry' if ttl == -1 else f'{ttl} s'}", wanted)
    if not exam.once(uses_valkey):
        raise KeepsNothing("no summary was found in Valkey", wanted)
    return Evidence(f"{len(seconds)} keys, all do", wanted, {"keys": len(seconds)})


@hygiene(points=1)
def without_valkey(exam: Exam) -> Evidence:
    """While Valkey is away, answers are right, and come within a second where it is silent."""
    tags, _reads = summaries(exam, 2)
    wanted = f"an answer within {LONGEST_WAIT_SECONDS:g} s"
    write = rename(exam, tags[0])
    until_used(exam, lambda: require_true(exam, tags[1], FailsWithoutValkey))
    # Silence first: connections that were cut off answer once with an error, which is no silence.
    with exam.learner.workspace.valkey_away(silent=True):
        # At the same time: whoever meets the silence first may spare the other one the wait.
        read, written = in_silence(exam, [summary_of(tags[1]), write], wanted)
    judge_summary(exam, read.response, tags[1], FailsWithoutValkey)
    judge_write(exam, written.response, write, FailsWithoutValkey)
    until_used(exam, lambda: require_true(exam, tags[1], FailsWithoutValkey))
    try:
        with exam.learner.workspace.valkey_away():
            for tag_id in tags:
                require_true(exam, tag_id, FailsWithoutValkey)
            send(exam, rename(exam, tags[0]), FailsWithoutValkey)
            require_true(exam, tags[0], FailsWithoutValkey)
    except StoppedAnswering as error:
        raise HangsWithoutValkey(error.observed, wanted) from error
    seconds = max(read.seconds, written.seconds)
    return Evidence(f"right; {seconds:.2f} s while it is silent", wanted)


@hygiene(points=1)
def after_an_outage(exam: Exam) -> Evidence:
    """A write while Valkey is away is seen also when Valkey is back with its old entries."""
    (tag_id,), _reads = summaries(exam, 1)
    post_id, tags = with_tags(exam)
    watched = {tag_id, *tags}
    until_used(exam, lambda: [exam.ask(exam.learner, summary_of(each)) for each in watched])

    def require_all() -> None:
        for each in watched:
            require_true(exam, each, StaleAfterOutage)

    with exam.learner.workspace.valkey_away():
        send(exam, rename(exam, tag_id), StaleAfterOutage)
        send(exam, comment_on(post_id), StaleAfterOutage)
        require_all()  # who is asked meanwhile must not take that for having made up for it
    until_used(exam, require_all)
    until = time.monotonic() + _WATCHED_SECONDS
    while time.monotonic() < until:
        require_all()
        time.sleep(0.05)
    return Evidence("seen, at once and later", "every write")


@hygiene(points=1)
def with_a_slow_reader(exam: Exam) -> Evidence:
    """A write is seen also when a slow read was under way meanwhile."""
    popular = [tag_id for (tag_id,) in exam.learner.workspace.execute(_POPULAR)]
    exam.learner.restart()  # an error on a connection from before an outage begins another pause
    until_used(exam, lambda: exam.ask(exam.learner, summary_of(popular[0])))
    for tag_id in popular:
        send(exam, rename(exam, tag_id), LateReader)  # so that the next read is a miss
        exam.overlap(exam.learner, [summary_of(tag_id), rename(exam, tag_id)], 0.012)
        require_true(exam, tag_id, LateReader)
    return Evidence(f"{len(popular)} of {len(popular)} seen", "every write")


def _served_by_valkey(
    exam: Exam, failure: type[Failure], between: Callable[[], object]
) -> Evidence:
    tags, reads = summaries(exam, 6)

    def ask() -> None:
        for tag_id in tags:
            exam.ask(exam.learner, summary_of(tag_id))

    def count() -> tuple[float, float]:
        ask()
        between()
        counts = exam.count(exam.learner, reads, requests=120, warmup_requests=16)
        return counts["SQL statements"], counts.get("cache hits") or 0.0

    statements, hits = count()
    # On a busy machine an app may take Valkey to be away, and leave it alone for a while.
    if (statements > _A_FEW or hits < _NEARLY_ONE) and exam.once(uses_valkey) and served(exam, ask):
        statements, hits = count()
    observed = f"{statements:.2f} statements, {hits:.2f} keys found a request"
    wanted = "no statement, one key found or more"
    numbers = {"statements_per_request": statements, "hits_per_request": hits}
    if statements > _A_FEW:
        raise failure(observed, wanted, numbers=numbers)
    if hits < _NEARLY_ONE:
        raise NotShared(observed, wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


def _require_measured(measured: Any, hits: float) -> None:
    wanted = f"about {hits:.2f} hits a request, and an interval of what leaving it out gains"
    try:
        claimed = float(measured["hits_per_request"])
        low, middle, high = (float(value) for value in measured["times_as_fast_without"])
    except (TypeError, KeyError, ValueError):
        raise NotMeasured(f"`measured` is {measured!r:.80}", wanted, credit=0.5) from None
    observed = f"{claimed:.2f} hits a request, {middle:.2f} [{low:.2f}, {high:.2f}] times as fast"
    plausible = 0 < low <= middle <= high and low < high and middle <= _MOST_TIMES and high >= 1
    if not abs(claimed - hits) <= _HITS_TOLERANCE or not plausible:  # nan is near nothing
        raise NotMeasured(observed, wanted, credit=0.5)
