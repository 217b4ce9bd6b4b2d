"""How answers are judged: right after each write first, then statements, buffers, and hits."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import redis

from course_app.apps.blog.replay import Auditor, by_cursor
from course_app.grading import (
    Candidate,
    Evidence,
    Exam,
    Failure,
    contract,
    hygiene,
    mechanism,
    speed,
)
from course_app.grading.failures import DifferentAnswer
from course_app.load import choice, get, mix, post, uniform
from course_app.measure.answers import excerpt
from course_app.network import Wire

_POSTS = 100_000
_WRITES, _REPLAYED, _AT_ONCE = 2, 1500, 300
_WORKERS = 2
#: A round trip to PostgreSQL for a late reader, and when the write overtakes its answer.
_FAR_MS, _OVERTAKES_SECONDS, _IN_ORDER_SECONDS = 300.0, 0.22, 0.005
_NEWEST = "SELECT created_at, id FROM posts ORDER BY created_at DESC, id DESC"

#: A page by the index takes a good answer some 20 buffers; sorting the table takes 14 000.
MOST_BUFFERS = 200
#: With popular posts and pages, a good answer asks PostgreSQL for about half of the requests.
MOST_STATEMENTS = 0.75
_CROWD, _MOST_OF_CROWD = 50, 3
_LOCKED_SECONDS = 0.6
#: What Valkey answers for a key that stays.
_NO_EXPIRY = -1

READS = mix(
    get("/posts/{id}", id=uniform(1, _POSTS), weight=6),
    get("/posts/{id}", id=uniform(10**6, 10**9), expect_status=404, weight=2),
    get("/posts?limit={limit}", limit=uniform(1, 100)),
    get("/posts?before={id}&limit={limit}", id=uniform(1, _POSTS), limit=uniform(1, 100), weight=2),
    # Often enough for an answer that mixes pages up to be caught at it.
    get("/posts?before={id}&limit=10", id=uniform(1, _POSTS), weight=4),
)
_UNREAD = mix(
    get("/posts/{id}", id=uniform(1, _POSTS)), get("/posts?limit={limit}", limit=uniform(50, 100))
)
PAGES = get("/posts?before={id}&limit=10", id=uniform(1, _POSTS))
LONG_PAGES = get("/posts?before={id}&limit=50", id=choice(list(range(50_000, 50_020))))
BAD = (
    get("/posts?limit=0"),
    get("/posts?limit=-1"),
    get("/posts?limit=100000"),
    get("/posts?before=first"),
    post("/posts", json={"author_id": 1, "title": "no body"}),
)


class StaleList(Failure):
    """After a write, a list does not show what is in the database."""

    hint = (
        "Which lists change when a post is added, with which limits? Every one of them has to be "
        "refused from the cache from the moment at which the writer gets its answer."
    )


class StaleElsewhere(Failure):
    """After a write, another worker's lists do not show it."""

    hint = (
        "Two workers are two processes, and each has a memory of its own. What tells one of them "
        "that the other has written? Both see Valkey."
    )


class LateReader(Failure):
    """A slow reader brings back what was there before the write."""

    hint = (
        "It asked PostgreSQL before the write and stored its entry after it, or others waited for "
        "its result. An entry, and a read that is under way, count only for the version that "
        "held when the read began."
    )


class StaysMissing(Failure):
    """A post that was asked for before it existed stays missing."""

    hint = (
        "A 404 and an empty page can be kept, too. Which write makes them wrong, and who says so?"
    )


class NotThereYet(Failure):
    """A post is answered before it can be read."""

    hint = (
        "A client that got an answer to its POST may read the post at once. Work on which the "
        "answer depends does not belong behind it."
    )


class LosesPosts(Failure):
    """A post that was answered is not in the database, or another one is."""

    hint = "The answer to POST says that the post is kept. Only PostgreSQL can promise that."


class DuplicatesPosts(Failure):
    """One POST makes more than one post."""

    hint = "Count the INSERT statements of one request, also where it is tried again."


class TakesBadInput(Failure):
    """A limit beyond 1 to 100, or another value that makes no sense, is not refused."""

    hint = "FastAPI refuses with 422 what Query(ge=..., le=...) and the types do not allow."


class SortsTheTable(Failure):
    """A page that is not in the cache reads the whole table."""

    hint = (
        "EXPLAIN (ANALYZE, BUFFERS) shows a Sort. The lists' ORDER BY needs an index with the same "
        "columns, and `$1 IS NULL OR ...` may keep PostgreSQL from using it: write two queries."
    )


class AsksTooOften(Failure):
    """Popular posts and pages are asked for again and again."""

    hint = (
        "Count what is asked twice. A new post changes only the lists without `before`: the "
        "others, and single posts, can stay in the cache."
    )


class AllAskAtOnce(Failure):
    """Everyone who misses the same entry at the same time asks PostgreSQL."""

    hint = "Keep the task that loads an entry; whoever comes meanwhile awaits the same task."


class KeepsNothing(Failure):
    """Nothing is kept in Valkey."""

    hint = "There is nothing yet that could expire: keep posts and pages there, with an expiry."


class NeverExpires(Failure):
    """Keys stay in Valkey for ever."""

    hint = "Every SET takes an expiry (ex=...). A cache without one is a leak."


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Posts and pages are as before, also for posts that do not exist."""
    exam.workers(exam.learner, _WORKERS)  # they get ready in the meantime
    return exam.same_answers(READS, 40)


@contract(points=2)
def never_stale(exam: Exam) -> Evidence:
    """In 1500 requests with 5 % writes, and with two workers, no list is ever stale."""
    far, wire = exam.far_worker(exam.learner)  # it gets ready in the meantime
    space = exam.learner.workspace
    ((posts_before,),) = space.execute("SELECT count(*) FROM posts")
    written = sum(_write_and_read(exam) for _ in range(_WRITES))
    newest = [(moment, post_id) for moment, post_id in space.execute(_NEWEST)]
    traffic = by_cursor(_POSTS, [post_id for _, post_id in newest])
    auditor = Auditor(newest)
    audit = auditor.audit([])
    for _ in range(_REPLAYED // _AT_ONCE):
        audit = auditor.audit(exam.ask(exam.learner, traffic, _AT_ONCE))
        if audit.stale:
            raise StaleList(str(audit), "no stale list")
    ((posts,),) = space.execute("SELECT count(*) FROM posts")
    observed = f"{posts - posts_before} posts in the database"
    wanted = f"{written + len(audit.created)}, one for each POST that was answered"
    if posts - posts_before < written + len(audit.created):
        raise LosesPosts(observed, wanted)
    if posts - posts_before > written + len(audit.created):
        raise DuplicatesPosts(observed, wanted)
    _with_late_readers(exam, far, wire)
    return Evidence(str(audit), "no stale list", {"lists": audit.lists, "stale": audit.stale})


def _write_and_read(exam: Exam) -> int:
    """A write, and at once readers of the post and of the newest pages; 1 for the post made.

    The writer is one worker; both are asked before and after.
    """
    workers = exam.workers(exam.learner, _WORKERS)
    coming = _coming(exam)
    below = f"/posts?before={coming}&limit=5"
    lists = [f"/posts?limit={size}" for size in (1, 10, 20)]
    for worker in workers:
        for path in (f"/posts/{coming}", below, *lists):
            exam.ask(worker, get(path))  # so that whatever is kept is kept from before
    post_id, title = _write(exam)
    for worker in workers:
        (read,) = exam.ask(worker, get(f"/posts/{post_id}"))
        if title not in read.text:
            kind = StaysMissing if read.status == 404 else NotThereYet
            raise kind(f"GET /posts/{post_id}: {excerpt(read)}", "the new post")
        for path in lists:
            (page,) = exam.ask(worker, get(path))
            if title not in page.text:
                stale = StaleList if worker is exam.learner else StaleElsewhere
                raise stale(f"{path} lacks the newest post", "no stale list")
        (page,) = exam.ask(worker, get(below))
        if post_id == coming and page.json() == []:
            raise StaysMissing(f"{below} is empty", f"the posts below {coming}")
    return 1


def _coming(exam: Exam) -> int:
    """The number that the next post will have."""
    ((coming,),) = exam.learner.workspace.execute("SELECT max(id) + 1 FROM posts")
    return int(coming)


def _write(exam: Exam) -> tuple[int, str]:
    """A new post, which has to be in the database; its number and title."""
    space, title = exam.learner.workspace, secrets.token_hex(8)
    new = post("/posts", json={"author_id": 1, "title": title, "body": "..."})
    (answer,) = exam.ask(exam.learner, new)
    if answer.status != 200 or title not in answer.text:
        raise DifferentAnswer(f"POST /posts: {excerpt(answer)}", "the new post")
    post_id = answer.json()["id"]
    if not space.execute("SELECT 1 FROM posts WHERE id = %s AND title = %s", post_id, title):
        raise NotThereYet(f"POST gave number {post_id}, which is not in the database", "the post")
    return post_id, title


def _with_late_readers(exam: Exam, far: Candidate, wire: Wire) -> None:
    """A write overtakes the answer to a reader, whose worker is far away from PostgreSQL."""
    # Opens connections and prepares statements, each of which would take several long ways.
    exam.load(far, _UNREAD, requests=40, concurrency=4)
    # The first time somebody asks who may wait for what the late readers bring; then nobody does,
    # and what one of them brings stays. Each time it is a page that nobody has asked for: what is
    # kept already is read at once. And each reader is the first once, because with a pool of one no
    # other is early enough to be late.
    _overtaken(exam, far, wire, ["/posts?limit=14", f"/posts/{_coming(exam)}"], joined=True)
    _overtaken(exam, far, wire, ["/posts?limit=13"], joined=False)
    _overtaken(exam, far, wire, [f"/posts/{_coming(exam)}"], joined=False)


def _overtaken(exam: Exam, far: Candidate, wire: Wire, paths: list[str], *, joined: bool) -> None:
    wire.delay_ms = _FAR_MS
    with ThreadPoolExecutor(1) as aside:
        late = aside.submit(exam.overlap, far, [get(path) for path in paths], _IN_ORDER_SECONDS)
        sleep(_OVERTAKES_SECONDS)
        _, title = _write(exam)
        if joined:
            _require_shown(exam, far, paths, title)
        late.result()
    wire.delay_ms = 0.0
    for worker in (exam.learner, far):
        _require_shown(exam, worker, paths, title)


def _require_shown(exam: Exam, worker: Candidate, paths: list[str], title: str) -> None:
    answers = exam.overlap(worker, [get(path) for path in paths])
    for path, answer in zip(paths, (each.response for each in answers), strict=True):
        if title not in answer.text:
            seen = f"{path} lacks the post that was written before: {excerpt(answer)}"
            raise LateReader(seen, title)


@contract(points=1)
def refuses(exam: Exam) -> Evidence:
    """A limit outside of 1 to 100, and other input that makes no sense, is refused with 422."""
    for bad in BAD:
        (answer,) = exam.ask(exam.learner, bad)
        if answer.status != 422:
            raise TakesBadInput(f"{bad.describe()}: {answer.status}", "422")
    return Evidence(f"{len(BAD)} of {len(BAD)} refused", "422")


@mechanism(points=1)
def few_buffers(exam: Exam) -> Evidence:
    """A page that is not in the cache takes at most 200 buffers."""
    buffers = exam.count(exam.learner, PAGES, requests=40, concurrency=2)["buffers"]
    observed, wanted = f"{buffers:,.0f} buffers", f"{MOST_BUFFERS} or fewer"
    if buffers > MOST_BUFFERS:
        raise SortsTheTable(observed, wanted, numbers={"buffers": buffers})
    return Evidence(observed, wanted, {"buffers": buffers})


@mechanism(points=1)
def few_statements(exam: Exam) -> Evidence:
    """With popular posts and pages, 4 requests (also writes) take at most 3 SQL statements."""
    newest = [post_id for _, post_id in exam.learner.workspace.execute(_NEWEST)]
    traffic = by_cursor(_POSTS, newest)
    counts = exam.count(exam.learner, traffic, requests=600, concurrency=4, warmup_requests=400)
    statements, commands = counts["SQL statements"], counts.get("Valkey commands") or 0.0
    observed = f"{statements:.2f} statements and {commands:.1f} Valkey commands a request"
    numbers = {"statements": statements, "commands": commands}
    wanted = f"{MOST_STATEMENTS} statements or fewer"
    if statements > MOST_STATEMENTS:
        raise AsksTooOften(observed, wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


@mechanism(points=1)
def one_query_for_a_crowd(exam: Exam) -> Evidence:
    """When 50 clients miss the same page at once, one query answers them (posts is locked)."""
    page = get(f"/posts?before={exam.random.randint(1000, _POSTS)}&limit=37")
    with exam.learner.workspace.locked("posts", _LOCKED_SECONDS):
        counts = exam.count(
            exam.learner, page, requests=_CROWD, concurrency=_CROWD, warmup_requests=0
        )
    statements = counts["SQL statements"] * _CROWD
    observed, wanted = f"{statements:.0f} statements", f"{_MOST_OF_CROWD} or fewer"
    if statements > _MOST_OF_CROWD:
        raise AllAskAtOnce(observed, wanted, numbers={"crowd_statements": statements})
    return Evidence(observed, wanted, {"crowd_statements": statements})


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain on cache hits: CPU for a page of 50 posts."""
    # Few at a time: the given app sorts the table for each, and its windows are as long as that.
    return exam.speed(LONG_PAGES, concurrency=2, metric="cpu")


@hygiene(points=1)
def entries_expire(exam: Exam) -> Evidence:
    """Posts and pages are kept in Valkey, and every key expires."""
    exam.load(exam.learner, READS, requests=50)
    with redis.Redis.from_url(exam.learner.workspace.owner_valkey_url or "") as cache:
        keys = list(cache.scan_iter(count=1000))
        forever = [key for key in keys if cache.ttl(key) == _NO_EXPIRY]
    if not keys:
        raise KeepsNothing("no key after 50 reads", "keys that expire")
    observed = f"{len(forever)} of {len(keys)} keys without an expiry"
    if forever:
        raise NeverExpires(f"{observed}, such as {forever[0]!r}", "none")
    return Evidence(observed, "none")
