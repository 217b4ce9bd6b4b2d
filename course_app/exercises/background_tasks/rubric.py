"""How the shop is judged: by the post office's ledger, and by what others wait meanwhile."""

import json
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_app.apps.mail_order import LETTER_SECONDS, NOWHERE, SOLD_OUT, letter
from course_app.exercises.background_tasks.baseline import WAREHOUSE
from course_app.exercises.background_tasks.ledger import Ledger, ledger_of
from course_app.grading import Evidence, Exam, Failure, contract, hygiene, mechanism, speed
from course_app.load import Generator, Request, Response, Workload, get, mix, post, text, uniform
from course_app.measure.bystanders import around
from course_app.system.waiting import wait_until

_SOMEBODY = {"n": uniform(1, 10**9)}


def _order(customer: str, article: str = "article {n}", status: int = 201) -> Request:
    body = {"customer": text(customer, **_SOMEBODY), "article": text(article, **_SOMEBODY)}
    return post("/orders", json=body, expect_status=status)


GOOD = _order("customer{n}@example.com")
REFUSED = _order(f"customer{{n}}{NOWHERE}")
GONE = _order("customer{n}@example.com", f"{SOLD_OUT} {{n}}", status=409)
INVALID = _order("customer {n}", status=422)
MISSING = get("/orders/{n}", n=uniform(10**6, 10**9), expect_status=404)
EVERYTHING = mix(GOOD, GONE, INVALID, MISSING, get("/health"))

_WAIT_SECONDS = 2.0
_TWICE_SECONDS = 0.15
#: One after another the letters of a burst take 1.6 s, by worker threads less than 0.1 s.
_BURST = 20
_BURST_SECONDS = 1.2
_PING_MS = 10.0
_AROUND_SECONDS = 0.6
#: A loop that delivers letters itself makes the median request wait for many of them.
_FREE_MS = 1e3 * LETTER_SECONDS
#: Who has more threads than the post office has counters brings more than 45 letters in 0.3 s.
_CROWD = 40
_CROWDED_LETTER_SECONDS = 0.3
#: Five threads, as `asyncio.to_thread` has on one core, are through with the crowd by then.
_BUSY_DAY_SECONDS = 5.0
#: A server waits for a second: long enough for two rounds of these.
_LAST_LETTER_SECONDS = 0.15


class NotSaved(Failure):
    """An order that was accepted cannot be read."""

    hint = (
        "A 201 is a promise: the order is there. What the promise rests on has to be done before "
        "the answer; only what nobody waits for can come later."
    )


class LettersMissing(Failure):
    """Letters were never delivered."""

    hint = "Does the work of each order begin at all? And does anything wait until it has ended?"


class FailureSpreads(Failure):
    """Since an address was refused, letters to others are missing."""

    hint = (
        "An exception ends whatever it passes through: the tasks of the same response that were to "
        "come after it, or a loop that serves a queue. Where does the slow shop catch it?"
    )


class Twice(Failure):
    """Somebody got the same letter more than once."""

    hint = "What is tried again after a failure? Only what failed may be, not what was done before."


class AnswersAfterWork(Failure):
    """The answer comes when the letters are out already."""

    hint = "The customer waits for two letters. FastAPI hands a handler `BackgroundTasks`."


class HoldsUpOthers(Failure):
    """While letters are delivered, nobody else is answered."""

    hint = (
        "`deliver` blocks the thread that calls it. A background task that is `async def` runs on "
        "the event loop's thread; where does FastAPI run one that is a plain `def`?"
    )


class OneAtATime(Failure):
    """Letters are delivered one after another."""

    hint = "A single thread or task delivers for all orders, so it falls behind when many come."


class TurnedAway(Failure):
    """The post office turns letters away: too many come at the same time."""

    hint = "It has 45 counters. FastAPI's worker threads are 40: why does your app have more?"


class LosesWork(Failure):
    """The app shuts down, and letters that it owes are never delivered."""

    hint = (
        "A server waits for its requests, and a background task is part of one. Nobody waits for a "
        "task that you start yourself, unless you do: in the lifespan, after the yield."
    )


def but_for_number(a: Response, b: Response) -> bool:
    """Equal but for the order's number, which depends on what was ordered before."""
    return a.status == b.status and _without_number(a.body) == _without_number(b.body)


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Every answer is as before, also 404, 409, 422, and where an address will be refused."""
    for _ in range(3):  # on a connection each: a task that fails takes it along
        exam.same_answers(REFUSED, 1, same=but_for_number)
    return exam.same_answers(EVERYTHING, 32, same=but_for_number)


@contract(points=1)
def saved(exam: Exam) -> Evidence:
    """An order can be read as soon as it is accepted."""
    for answer in _place(exam, GOOD, 4):
        (read,) = exam.ask(exam.learner, get(f"/orders/{answer.json()['order']}"))
        if read.status != 200 or _parsed(read.body) != _ordered(answer):
            raise NotSaved(f"{read.status} {read.text[:80]}", f"200 {json.dumps(_ordered(answer))}")
    return Evidence("4 of 4 orders", "every order")


@contract(points=2)
def exactly_once(exam: Exam) -> Evidence:
    """Customer and warehouse get one letter for each order, whoever else is refused."""
    exam.learner.restart()  # so that only what fails from now on can spread
    traffic = ((GOOD, 4), (REFUSED, 1), (mix(GOOD, REFUSED), 9))
    orders = [answer for kind, count in traffic for answer in _place(exam, kind, count)]
    names = [_letters(answer) for answer in orders]
    wanted = {name for several in names for name in several}
    with _ledger(exam) as ledger:
        ledger.letters_with(wanted, _WAIT_SECONDS)
        time.sleep(_TWICE_SECONDS)  # the same letter may come again
        got = ledger.letters()
    missing = wanted - got.keys()
    asked = f"{len(wanted)} letters, each once"
    observed = f"{len(wanted) - len(missing)} of {len(wanted)} letters"
    if missing:
        before_any_failure = {name for several in names[:4] for name in several}
        raise (LettersMissing if missing & before_any_failure else FailureSpreads)(observed, asked)
    if more := [name for name in wanted if got[name] > 1]:
        raise Twice(f"{len(more)} letters came more than once, such as {more[0]}", asked)
    return Evidence(f"{observed}, each once", asked, {"letters": len(wanted)})


@mechanism(points=1)
def answers_first(exam: Exam) -> Evidence:
    """The answer comes before the letters are out."""
    late = 0
    for _ in range(6):
        (answer,) = _place(exam, GOOD, 1)
        with _ledger(exam) as ledger:
            late += all(name in ledger.letters() for name in _letters(answer))
    observed, wanted = f"{6 - late} of 6 answers came first", "all; on a busy machine, most"
    if late > 3:
        raise AnswersAfterWork(observed, wanted)
    return Evidence(observed, wanted, {"late": late})


@mechanism(points=1)
def loop_is_free(exam: Exam) -> Evidence:
    """While the letters of 20 orders are delivered, side by side, /health answers at once."""
    with _ledger(exam) as ledger:
        before = ledger.settled()
        waited_ms = _beside_a_burst(exam)
        left_seconds = _BURST_SECONDS - _AROUND_SECONDS
        delivered = ledger.wait_for(before + 2 * _BURST, left_seconds) - before
    observed = f"/health took {waited_ms:.1f} ms, {delivered} letters in {_BURST_SECONDS:g} s"
    wanted = f"less than {_FREE_MS:g} ms, {2 * _BURST} letters"
    if waited_ms > _FREE_MS:
        raise HoldsUpOthers(observed, wanted)
    if delivered < 2 * _BURST:
        raise OneAtATime(observed, wanted)
    return Evidence(observed, wanted, {"health_ms": waited_ms, "letters": delivered})


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain for a customer who orders again and again."""
    return exam.speed(GOOD, concurrency=1, same=but_for_number)


@hygiene(points=1)
def bounded(exam: Exam) -> Evidence:
    """When 40 customers order at once, on a busy day, the post office turns no letter away."""
    crowd = exam.once(_crowd)
    observed = f"{crowd.turned_away} turned away, {crowd.delivered} delivered"
    wanted = f"none, {2 * _CROWD}"
    if crowd.turned_away:
        raise TurnedAway(observed, wanted)
    if crowd.delivered < 2 * _CROWD:
        raise LettersMissing(observed, wanted)
    return Evidence(observed, wanted, {"turned_away": crowd.turned_away})


@hygiene(points=1)
def nothing_lost(exam: Exam) -> Evidence:
    """When the app shuts down after some orders, every letter is out when it has ended."""
    # Two rounds of letters: some have not begun yet, and nobody needs long for them.
    orders = exam.once(_crowd).side_by_side
    with _ledger(exam) as ledger:
        before = ledger.settled()
        with ledger.busy_day(_LAST_LETTER_SECONDS):
            exam.load(exam.learner, GOOD, requests=orders, concurrency=orders)
            exam.learner.stop()
        delivered = ledger.delivered() - before
    observed, wanted = f"{delivered} letters", f"{2 * orders}"
    if delivered < 2 * orders:
        raise LosesWork(observed, wanted)
    return Evidence(observed, wanted, {"letters": delivered})


@dataclass(frozen=True)
class _Crowd:
    """What became of a crowd's letters, and how many of them the app delivers at a time."""

    delivered: int
    turned_away: int
    side_by_side: int


def _crowd(exam: Exam) -> _Crowd:
    with _ledger(exam) as ledger:
        before, away_before = ledger.settled(), ledger.turned_away()

        def away() -> int:
            return ledger.turned_away() - away_before

        def over() -> bool:
            return ledger.delivered() - before + away() >= 2 * _CROWD

        with ledger.busy_day(_CROWDED_LETTER_SECONDS):
            began = time.monotonic()
            exam.load(exam.learner, GOOD, requests=_CROWD, concurrency=_CROWD)
            wait_until(over, _BUSY_DAY_SECONDS)
            rounds = (time.monotonic() - began) / _CROWDED_LETTER_SECONDS
            at_a_time = round((ledger.delivered() - before) / rounds)
        wait_until(over, _BUSY_DAY_SECONDS)  # who has few threads delivers the rest the day after
        return _Crowd(ledger.delivered() - before, away(), max(1, at_a_time))


def _beside_a_burst(exam: Exam) -> float:
    """What the median /health took that was due after 20 orders had come at once, in ms."""
    learner, seconds = exam.learner, exam.limits.request_seconds
    with (
        Generator() as side,
        exam.target(learner, get("/health"), 64, exam.new_seed()) as everybody,
        exam.blaming(learner),
    ):
        burst = side.connect(
            learner.url, GOOD, concurrency=_BURST, seed=exam.new_seed(), timeout_seconds=seconds
        )
        generators = (exam.generator, side)
        health, orders = around(generators, everybody, burst, _PING_MS, _AROUND_SECONDS)
    for result in (health, orders):
        exam.refuse_errors(learner, result)
    after = health.intended_ns > orders.start_ns.min()
    return float(np.median(health.latency_ms[after]))


def _place(exam: Exam, traffic: Request | Workload, count: int) -> list[Response]:
    """Place orders, one after another, on a connection each; their answers."""
    answers = [exam.ask(exam.learner, traffic)[0] for _ in range(count)]
    for answer in answers:
        if answer.status != 201 or not isinstance(_parsed(answer.body).get("order"), int):
            raise NotSaved(f"{answer.status} {answer.text[:80]}", '201 {"order": number}')
    return answers


def _letters(answer: Response) -> list[str]:
    """The letters that have to be delivered for an order."""
    order, customer = answer.json()["order"], _ordered(answer)["customer"]
    addresses = [WAREHOUSE] if customer.endswith(NOWHERE) else [customer, WAREHOUSE]
    return [letter(order, address) for address in addresses]


def _ordered(answer: Response) -> dict[str, Any]:
    """What was ordered."""
    return _parsed(answer.request_text.partition("\r\n\r\n")[2].encode())


def _ledger(exam: Exam) -> AbstractContextManager[Ledger]:
    return ledger_of(exam.learner.workspace.valkey_url)


def _without_number(body: bytes) -> Any:
    parsed = _parsed(body)
    return {**parsed, "order": None} if "order" in parsed else parsed or body


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
