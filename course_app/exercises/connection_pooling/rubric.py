"""How answers are judged: the same answers, no new sessions, few connections, a clear refusal."""

import secrets

import numpy as np

from course_app.grading import (
    CannotTell,
    Evidence,
    Exam,
    Failure,
    contract,
    hygiene,
    mechanism,
    speed,
)
from course_app.grading.failures import StoppedAnswering
from course_app.load import LoadResult, Request, Workload, choice, get, mix, uniform
from course_app.measure.answers import excerpt

#: What the text of the exercise allows.
MOST_CONNECTIONS = 10
_FEWEST_AT_ONCE = 4

#: Ten of 60 wait for a row. Of forty threads thirty can wait for a connection, and be told; the
#: others wait for a thread.
_FEWEST_TOLD = 20
#: What a busy machine adds to a second: it delays some, but hardly all of them.
_TOLD_SECONDS = 1.5

_USERS, _POSTS = 100_000, 100_000
_CLIENTS = 100
#: Requests that block each other stand still until the first of them gives up: for 0.9 s where that
#: is after a second. A slow app, or a slow machine, answers somebody every 0.1 s.
_STANDSTILL_SECONDS = 0.5

#: The second is there to be waited for. Whoever is told sooner had a shorter one.
_TOO_SOON_SECONDS = 0.5

#: Enough for connections that are made anew from time to time to show, beyond those by which a
#: pool may still grow.
_MANY_READS = 1500


def _reads(*also: int) -> Workload:
    """Reads of every kind; ``also`` are statuses that each of them may have besides its own."""
    return mix(
        get("/users/{id}", id=uniform(1, _USERS), expect_status=(200, *also), weight=6),
        get("/posts/{id}", id=uniform(1, _POSTS), expect_status=(200, *also), weight=3),
        get("/users/{id}", id=uniform(200_000, 900_000), expect_status=(404, *also), weight=0.5),
        get("/posts/{id}", id=uniform(200_000, 900_000), expect_status=(404, *also), weight=0.5),
    )


READS = _reads()
READS_OR_BUSY = _reads(503)
BAD_REQUESTS = get(
    "/{kind}/{word}", kind=choice(["users", "posts"]), word="many", expect_status=422
)


class KeepsConnections(Failure):
    """A request that ends with an error does not give its connection back."""

    hint = (
        "A 404 leaves the handler by an exception, and a dependency gets it at its `yield`. What "
        "stands behind the yield is skipped then, unless it is in a `finally` or an `async with`."
    )


class StaleAnswer(Failure):
    """An answer is older than the row in the database."""

    hint = "A pool saves connections, not queries: each request still has to ask PostgreSQL."


class OpensConnections(Failure):
    """Requests still open connections of their own."""

    hint = (
        "PostgreSQL's own count of sessions grows with the requests. Who could open "
        "connections before the first request comes, and what do requests do then?"
    )


class OpensPools(Failure):
    """Each request opens several connections: it makes a pool."""

    hint = "A pool pays off when it lives as long as the app. Where does an app begin and end?"


class OneAtATime(Failure):
    """Hardly any two statements are under way at the same time."""

    hint = (
        "One slow query holds up every other request. Either there is a single connection, or "
        "something lets only one request at a time to the pool (a lock, a blocking call)."
    )


class TooManyConnections(Failure):
    """More connections are open than the app may have."""

    hint = (
        "What bounds the number of connections when 100 clients come at once? Look for the "
        "pool's maximum, and make sure that there is one pool only, also right after the start."
    )


class Deadlocks(Failure):
    """A crowd of requests blocks itself: connections are free for none of them."""

    hint = (
        "Does a request ask for a second connection while it holds one? When every connection "
        "is held by a request that waits for another, none gets any further. With `def` handlers "
        "it may be threads that are missing: giving back takes one, too, and those that wait for "
        "a connection have them all."
    )


class RefusesTooSoon(Failure):
    """Who finds all connections in use is turned away without having waited."""

    hint = (
        "A crowd of 100 is served within a second by ten connections that come back. The second "
        "is there to be waited for: how long does `acquire` wait in your app?"
    )


class WaitsTooLong(Failure):
    """Who finds all connections in use waits, and is not told so within a second."""

    hint = (
        "How long does `acquire` wait if nothing else is said? It has a parameter for that, in "
        "seconds. And does anybody wait for something else (a lock, a thread) before that?"
    )


class FailsWhenBusy(Failure):
    """Who finds all connections in use gets an error that says nothing."""

    hint = (
        "Waiting has an end, and then asyncpg raises TimeoutError. FastAPI makes a 500 of an "
        "exception that nobody catches; 503 says that it is worth to try again."
    )


class RefusesThoseInside(Failure):
    """Who holds a connection is turned away as well when a query takes longer than a second."""

    hint = (
        "The second is for waiting for a connection. Around what does your time limit stand: "
        "around `acquire`, or around the query, too?"
    )


class DoesNotRecover(Failure):
    """After all connections were in use for a while, answers are not right any more."""

    hint = "Is each connection given back also when its request fails or is cancelled?"


class LeavesConnections(Failure):
    """Connections are left open, or lost, when the app ends."""

    hint = "Whoever opens a pool closes it: in the lifespan, after the yield."


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Every answer is as before, also for users and posts that do not exist."""
    exam.same_answers(BAD_REQUESTS, 4)
    # First those that are missing: among many, what they keep would be told as another answer.
    for kind in ("users", "posts"):
        missing = get(f"/{kind}/{{id}}", id=uniform(200_000, 900_000), expect_status=404)
        exam.same_answers(missing, 1)
        _require_given_back(exam, missing)
    return exam.same_answers(READS)


@contract(points=1)
def fresh_answers(exam: Exam) -> Evidence:
    """An answer shows what is in the database now."""
    for _ in range(3):
        user, post = exam.random.randint(1, _USERS), exam.random.randint(1, _POSTS)
        written_by = "SELECT author_id FROM posts WHERE id = %s"
        ((author,),) = exam.reference.workspace.execute(written_by, post)
        _require_seen(exam, f"/users/{user}", "UPDATE users SET email = %s WHERE id = %s", user)
        _require_seen(exam, f"/posts/{post}", "UPDATE posts SET title = %s WHERE id = %s", post)
        _require_seen(exam, f"/posts/{post}", "UPDATE users SET name = %s WHERE id = %s", author)
    return Evidence("9 of 9 changes seen", "every change")


@mechanism(points=2)
def no_sessions(exam: Exam) -> Evidence:
    """No request opens a connection to PostgreSQL."""
    sessions = exam.count(exam.learner, READS, same=True)["PostgreSQL sessions"]
    observed, wanted = f"{sessions:.2f} sessions a request", "none"
    numbers = {"sessions_per_request": sessions}
    if sessions > 1.5:
        raise OpensPools(observed, wanted, numbers=numbers)
    # A pool may still grow by a few connections while it is counted.
    if sessions > 0.05:
        raise OpensConnections(observed, wanted, numbers=numbers)
    opened = exam.count(exam.learner, READS, requests=_MANY_READS)["PostgreSQL sessions"]
    opened *= _MANY_READS
    numbers["sessions_of_many_requests"] = opened
    if opened > MOST_CONNECTIONS:
        observed = f"{opened:.0f} sessions in {_MANY_READS} requests"
        raise OpensConnections(observed, wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


@mechanism(points=1)
def side_by_side(exam: Exam) -> Evidence:
    """Slow statements run side by side (the table users is locked for a moment)."""
    waiting, _ = _while_users_are_locked(exam, clients=30, seconds=0.8)
    observed, wanted = f"{waiting} at the same time", f"{_FEWEST_AT_ONCE} or more"
    if waiting < _FEWEST_AT_ONCE:
        raise OneAtATime(observed, wanted, numbers={"statements_at_once": waiting})
    return Evidence(observed, wanted, {"statements_at_once": waiting})


@mechanism(points=1)
def within_budget(exam: Exam) -> Evidence:
    """When 100 clients come right after the start, at most 10 connections serve them all."""
    exam.learner.restart()
    with (
        exam.target(exam.learner, READS_OR_BUSY, _CLIENTS, exam.new_seed()) as target,
        exam.watched_connections(exam.learner) as seen,
    ):
        result = exam.generator.closed(target, requests=2 * _CLIENTS)
    most = max(seen, default=0)
    observed, wanted = f"{most} connections", f"{MOST_CONNECTIONS} or fewer, every request served"
    if most > MOST_CONNECTIONS:
        raise TooManyConnections(observed, wanted, numbers={"connections": most})
    _require_served(exam, result, wanted)
    return Evidence(f"{observed}, all served", wanted, {"connections": most})


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain, 8 requests at a time."""
    return exam.speed(READS, concurrency=8)


@hygiene(points=1)
def says_busy(exam: Exam) -> Evidence:
    """Who gets no connection within a second is told so: 503 (users is locked for two seconds)."""
    _, result = _while_users_are_locked(exam, clients=60, seconds=2.0)
    wanted = "503 within a second while every connection is in use, right answers afterwards"
    refused, served = (int((result.status == status).sum()) for status in (503, 200))
    if result.errors_by_kind.get("status"):
        raise FailsWhenBusy(str(result.errors[0]), wanted)
    if refused < _FEWEST_TOLD:
        raise WaitsTooLong(f"{refused} of 60 were told within 2 s", wanted)
    first_seconds = _first_refusal_seconds(result)
    if first_seconds > _TOLD_SECONDS:
        raise WaitsTooLong(f"the first was told after {first_seconds:.1f} s", wanted)
    if served < _FEWEST_AT_ONCE:
        observed = f"{refused} of 60 were told, {served} were served"
        raise RefusesThoseInside(observed, f"{_FEWEST_AT_ONCE} or more served, the others told")
    again = exam.ask(exam.learner, get("/users/{id}", id=uniform(1, _USERS)), 20)
    if wrong := [answer for answer in again if answer.status != 200]:
        raise DoesNotRecover(f"{len(wrong)} of 20: {wrong[0].status}", wanted)
    observed = f"{refused} of 60 were told, the first after {first_seconds:.1f} s"
    return Evidence(observed, wanted, {"refused": refused, "first_seconds": first_seconds})


@hygiene(points=1)
def closes(exam: Exam) -> Evidence:
    """No connection is left when the app has ended."""
    exam.load(exam.learner, READS, requests=100)
    left = exam.learner.connections_left_by_stop()
    if left:
        raise LeavesConnections(f"{left} connections", "none")
    return Evidence("none", "none")


def _require_seen(exam: Exam, path: str, change: str, row_id: int) -> None:
    """What is changed to a new word stands in the answer, also if that was asked for before."""
    read, word = get(path), secrets.token_hex(8)
    exam.ask(exam.learner, read)
    exam.write(change, word, row_id)
    (answer,) = exam.ask(exam.learner, read)
    if word not in answer.text:
        raise StaleAnswer(f"{path}: {answer.text[:100]}", f"the new word {word}")


def _require_given_back(exam: Exam, missing: Request) -> None:
    """More requests that end with a 404 than there are connections; they come one by one."""
    wanted = "404 each time"
    try:
        answers = exam.ask(exam.learner, missing, MOST_CONNECTIONS + 2)
    except StoppedAnswering as silence:
        raise KeepsConnections(silence.observed, wanted) from silence
    for number, answer in enumerate(answers, start=1):
        if answer.status != 404:
            observed = f"{missing.path}: {excerpt(answer)} for the {number}th that is missing"
            raise KeepsConnections(observed, wanted)


def _while_users_are_locked(exam: Exam, clients: int, seconds: float) -> tuple[int, LoadResult]:
    """The most statements that waited at once, and what became of the requests."""
    traffic = get("/users/{id}", id=uniform(1, _USERS), expect_status=(200, 503))
    with (
        exam.target(exam.learner, traffic, clients, exam.new_seed()) as target,
        exam.learner.workspace.locked("users", seconds) as lock,
    ):
        result = exam.generator.closed(target, requests=clients)
    return lock.most_waiting, result


def _first_refusal_seconds(result: LoadResult) -> float:
    return float(result.service_ms[result.status == 503].min()) / 1e3


def _require_served(exam: Exam, result: LoadResult, wanted: str) -> None:
    """Refused after a standstill means that requests block each other; else it is slow here."""
    refused = int((result.status == 503).sum())
    hung = result.errors_by_kind.get("timeout", 0)
    total = result.completed + result.error_count
    observed = f"{refused + hung} of {total} requests got no connection"
    moments_ns = np.sort([*np.sort(result.start_ns)[:1], *result.end_ns])
    standstill = np.diff(moments_ns).max(initial=0) >= 1e9 * _STANDSTILL_SECONDS
    if hung > total / 2 or (standstill and refused + hung > total / 10):
        raise Deadlocks(observed, wanted)
    if refused and (soonest := _first_refusal_seconds(result)) < _TOO_SOON_SECONDS:
        raise RefusesTooSoon(f"{observed}, the first after {soonest:.2f} s", wanted)
    if result.error_count > hung:
        exam.refuse_errors(exam.learner, result)
    if refused + hung:
        raise CannotTell(observed, wanted)
