"""How the shop is judged: who waits for whom, how many at once, and in which process."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from course_app.apps.partner import ARTICLES, CALL_SECONDS
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
from course_app.grading.failures import WrongUnderLoad
from course_app.load import Generator, LoadResult, Request, Response, get, mix, uniform
from course_app.system.waiting import wait_until

PRICES = get("/prices/{article}", article=uniform(1, ARTICLES))
ORDERS = get("/orders/{order}?token=t{token}", order=uniform(1, 10**6), token=uniform(1, 10**6))
INVOICES = get("/invoices/{number}", number=uniform(1, 10**6))
MISSING = get("/prices/{article}", article=uniform(200_000, 900_000), expect_status=404)
REFUSED = get("/orders/{order}", order=uniform(1, 10**6), expect_status=422)
SERVED = mix(
    get(PRICES.path, article=uniform(1, ARTICLES), weight=5),
    get(ORDERS.path, order=uniform(1, 10**6), token=uniform(1, 10**6), weight=4),
    get(INVOICES.path, number=uniform(1, 10**6), weight=1),
)
EVERYTHING = mix(PRICES, ORDERS, INVOICES, MISSING, REFUSED, get("/health"))

#: Twelve blocked calls take 120 ms one after another, a free loop answers in some 3 ms.
_CLIENTS = 12
_FREE_MS = 30.0
#: Calls one after another are one at a time, twelve threads or tasks nearly twelve.
_AT_ONCE = 3.0
#: Twelve clients cannot have more than twelve calls under way; timers may round 10 ms down.
_POSSIBLE_AT_ONCE = 1.3 * _CLIENTS
#: The same request is sent so often: what is kept answers within a millisecond or two, a call
#: lasts ten.
_AGAIN = 10
_LEAST_MS = 0.5e3 * CALL_SECONDS
#: Processes that compute leave less of the machine for the server's loop.
_COMPUTING_CLIENTS = 24
_BESIDE_COMPUTING_MS = 60.0
_CROWD = 120
_ENDED_SECONDS = 3.0
_LOOK_SECONDS = 0.005


class BlocksInHandler(Failure):
    """While prices are fetched, nobody else is answered."""

    hint = "Which call in that handler does the event loop wait for, without an await?"


class BlocksInDependency(Failure):
    """While orders are read, nobody else is answered."""

    hint = (
        "The handler itself does nothing. What runs before it, and where does FastAPI run a "
        "dependency that is `async def`?"
    )


class OneAtATime(Failure):
    """The loop is free, but the calls are made one after another."""

    hint = "Something lets only one call pass: a lock, a semaphore or a single thread."


class SkipsTheCall(Failure):
    """More is answered than the calls allow: somebody is not asked any more."""

    hint = "Prices and customers may change at any time. Each request has to ask for its own."


class ComputesHere(Failure):
    """Invoices are not computed in a process that the server has started."""

    hint = (
        "The interpreter lets one thread compute at a time, whatever thread it is. "
        "Look at concurrent.futures for what has a process of its own."
    )


class HoldsUpOthers(Failure):
    """While invoices are computed, nobody else is answered."""

    hint = "Computing must not happen on the event loop's thread, nor be waited for without await."


class TooManyCalls(Failure):
    """A crowd of clients makes the partner refuse calls."""

    hint = (
        "The partner takes 50 calls at once. Worker threads were a limit by themselves; "
        "tasks have none. asyncio has a class that lets so many pass and no more."
    )


class LeavesProcesses(Failure):
    """Processes that computed invoices live on after the shutdown."""

    hint = "Who starts workers ends them: the lifespan goes on after its yield."


def but_for_process(a: Response, b: Response) -> bool:
    """Equal status and body, wherever it was computed."""
    return a.status == b.status and _without_process(a.body) == _without_process(b.body)


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Every answer is as before, also for articles that do not exist and without a token."""
    return exam.same_answers(EVERYTHING, 40, same=but_for_process)


@mechanism(points=2)
def prices_wait_alone(exam: Exam) -> Evidence:
    """While 12 clients wait for prices, /health answers at once."""
    _require_calls(exam, f"/prices/{exam.random.randint(1, ARTICLES)}")
    return _waiting(exam, PRICES, BlocksInHandler)


@mechanism(points=1)
def orders_wait_alone(exam: Exam) -> Evidence:
    """While 12 clients wait for their sessions, /health answers at once."""
    _require_calls(exam, f"/orders/1?token=t{exam.random.randint(1, 10**6)}")
    return _waiting(exam, ORDERS, BlocksInDependency)


@mechanism(points=2)
def computes_elsewhere(exam: Exam) -> Evidence:
    """Invoices are computed in another process than the server's."""
    workers = _workers(exam)
    beside = _beside(exam, INVOICES, _COMPUTING_CLIENTS)
    observed, wanted = f"/health took {beside.health_ms:.1f} ms", f"{_BESIDE_COMPUTING_MS:g} ms"
    if beside.health_ms > _BESIDE_COMPUTING_MS:
        raise HoldsUpOthers(observed, f"less than {wanted}")
    return Evidence(f"{len(workers)} other processes; {observed}", f"another; less than {wanted}")


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain, 6 clients with all kinds of requests."""
    return exam.speed(SERVED, concurrency=6, same=but_for_process)


@hygiene(points=1)
def bounded(exam: Exam) -> Evidence:
    """With 120 clients at once the partner never refuses a call."""
    try:
        result = exam.load(exam.learner, PRICES, requests=3 * _CROWD, concurrency=_CROWD)
    except WrongUnderLoad as failure:
        raise TooManyCalls(failure.observed, "no call refused") from failure
    return Evidence(f"{result.completed} calls, none refused", "none refused")


@hygiene(points=1)
def ends_its_processes(exam: Exam) -> Evidence:
    """No process that computed is left after the shutdown."""
    workers = _workers(exam)
    exam.learner.stop()
    wait_until(lambda: not any(map(_lives, workers)), _ENDED_SECONDS)
    if left := sum(map(_lives, workers)):
        raise LeavesProcesses(f"{left} of {len(workers)} still there", "none")
    return Evidence("none", "none")


@dataclass(frozen=True)
class Beside:
    """What /health took while others asked for something slow, and how they fared."""

    health_ms: float
    slow: LoadResult

    @property
    def at_once(self) -> float:
        """Calls under way on average, by Little's law: throughput times what a call takes."""
        return self.slow.throughput * CALL_SECONDS


def _require_calls(exam: Exam, path: str) -> None:
    """A request that comes again waits for a call again; one by one, so that nothing queues."""
    again = exam.load(exam.learner, path, requests=_AGAIN, concurrency=1)
    if (took_ms := again.percentile(50)) < _LEAST_MS:
        observed = f"{path} took {took_ms:.1f} ms when it came again"
        raise SkipsTheCall(observed, f"{1e3 * CALL_SECONDS:g} ms, which a call takes")


def _waiting(exam: Exam, traffic: Request, blocks: type[Failure]) -> Evidence:
    beside = _beside(exam, traffic, _CLIENTS)
    observed = f"/health took {beside.health_ms:.1f} ms, {beside.at_once:.1f} calls at once"
    wanted = f"less than {_FREE_MS:g} ms, {_AT_ONCE:g} to {_CLIENTS} calls"
    if beside.at_once > _POSSIBLE_AT_ONCE:
        raise SkipsTheCall(observed, wanted)
    if beside.health_ms > _FREE_MS:
        raise blocks(observed, wanted)
    if beside.at_once < _AT_ONCE:
        raise OneAtATime(observed, wanted)
    return Evidence(observed, wanted, {"health_ms": beside.health_ms, "at_once": beside.at_once})


def _beside(exam: Exam, traffic: Request, clients: int) -> Beside:
    """Ask for /health, one request after another, while ``clients`` ask for something slow."""
    learner = exam.learner
    slow: list[LoadResult] = []
    with (
        Generator() as side,
        exam.target(learner, traffic, clients, exam.new_seed()) as busy,
        exam.blaming(learner),
    ):
        seconds = exam.limits.request_seconds
        target = side.connect(learner.url, get("/health"), concurrency=1, timeout_seconds=seconds)
        load = threading.Thread(
            target=lambda: slow.append(exam.generator.closed(busy, seconds=0.7))
        )
        load.start()
        try:
            time.sleep(0.15)  # until the slow requests are under way
            health = side.closed(target, seconds=0.45)
        finally:
            load.join()
    for result in (*slow, health):
        exam.refuse_errors(learner, result)
    return Beside(health.percentile(50), slow[0])


def _workers(exam: Exam) -> set[int]:
    """The processes that compute invoices: the app names them, the system knows whose they are.

    Raises:
        ComputesHere: it names the server's, or none that the server has started.
    """
    server, wanted = _processes(exam, get("/health")), "another process"
    with _helpers(exam.learner) as started:
        named = _processes(exam, INVOICES)
    if server & named:
        raise ComputesHere("the server's own process", wanted)
    if not named & started:
        observed = f"process {min(map(str, named))}, which the server has not started"
        raise ComputesHere(observed, wanted)
    return named & started


@contextmanager
def _helpers(candidate: Candidate) -> Iterator[set[int]]:
    """All processes that the server has beside its own meanwhile, however short they live."""
    seen: set[int] = set()
    done = threading.Event()

    def look() -> None:
        with suppress(psutil.Error):
            seen.update(candidate.helpers())

    def watch() -> None:
        while not done.wait(_LOOK_SECONDS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
        look()
    finally:
        done.set()
        thread.join()


def _processes(exam: Exam, traffic: Request) -> set[int]:
    answers = exam.ask(exam.learner, traffic, 6)
    return {_json(answer.body).get("process", 0) for answer in answers}


def _lives(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _without_process(body: bytes) -> Any:
    parsed = _json(body)
    return {**parsed, "process": None} if "process" in parsed else parsed or body


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
