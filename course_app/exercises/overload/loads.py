"""The loads of the check, in multiples of what one process can serve here and now.

The capacity is measured just before each load and just after, and times are told in those of an
app that has a core for itself. Beside a busy neighbour an app serves half as much in twice the
time, which is no fault of its own.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# By name: an app in the same process may put another clock in the module's place.
from time import perf_counter, sleep

from course_app.exercises.overload.baseline import seal_of
from course_app.exercises.overload.outcomes import HEALTH_MS, REFUSED, Capacity, Load
from course_app.grading import Candidate, CouldNotCheck, Exam
from course_app.load import (
    NEVER,
    Generator,
    LoadError,
    LoadResult,
    Request,
    Response,
    Retries,
    Target,
    Workload,
    get,
    mix,
    uniform,
)

CALM, BASE, OVERLOAD, BURST, CRUSH = 0.7, 0.6, 1.5, 2.5, 3.0
#: The burst: seconds before it, of it, until an app has to be well again, and after that.
BEFORE, DURING, RECOVERY, AFTER = 0.3, 0.6, 2.0, 0.4
#: The overload: seconds that an app gets to see it coming, and those that count.
SETTLING, COUNTED = 0.2, 0.6

_MOST_NUMBER = 10**9
_PATIENCE_SECONDS = 0.25
#: Connections are open before a load begins: uvloop takes one new one in a turn of the loop, and
#: the others would wait where no app sees them.
_OPEN = 128
_RETRIES = Retries(times=3, pause_seconds=0.1, jitter=True)
_KEPT_ALIVE, _KEPT_ALIVE_SECONDS, _CALM_SECONDS = 200, 0.25, 0.5
_CRUSH_SECONDS = 0.6
_HEALTH_PER_SECOND, _HEALTH_CLIENTS = 40.0, 8
_PREPARED = 2048

#: So many numbers of each load are sealed here too, and one answer in twenty is compared: more
#: would take longer than the load itself. They are new for each load, and nobody can tell them.
_KNOWN, _COMPARED = 16, 0.05

# Two clients who wait for their answers keep one process busy, and fill no line.
_WAITING_CLIENTS = 2
_CAPACITY_SECONDS, _CAPACITY_WARMUP_SECONDS = 0.2, 0.03
#: A capacity that was measured just now, after the load before, is that before the next one.
_FRESH_SECONDS = 0.2
#: An app that was frozen meanwhile sees that it was late: it gets a moment to get over it.
_AWAKE_SECONDS = 0.1
#: An answer with so much more capacity than the given app gets more to do.
_FASTER = 1.25

Phases = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Overload:
    """One overload, and the health checks that were sent meanwhile."""

    load: Load
    health: LoadResult

    @property
    def goodput(self) -> float:
        """Answers in time, as a share of the capacity."""
        return self.load.goodput(SETTLING, SETTLING + COUNTED)

    @property
    def healthy(self) -> float:
        """The share of health checks that were answered rightly and in time."""
        in_time = int((self.health.latency_ms <= HEALTH_MS * self.load.stretch).sum())
        return in_time / max(1, self.health.completed + self.health.error_count)


class Loads:
    """Sends the loads of one check.

    refuses: whether the learner's app has refused anybody.
    overloads, controls: rounds of overload, of the learner's app and of our own answer.
    """

    def __init__(self, exam: Exam) -> None:
        self.refuses = False
        self.overloads: list[Overload] = []
        self.controls: list[Overload] = []
        self._exam = exam
        self._side = exam.enter(Generator())
        self._faster_by: float | None = None
        self._latest, self._measured_at = Capacity(0.0, 1.0), -math.inf

    def burst(self, candidate: Candidate) -> Load:
        """A burst of clients who try again, with a calm before and after."""
        phases = [(BEFORE, BASE), (DURING, BURST), (RECOVERY + AFTER, BASE)]
        return self._load(candidate, phases, _RETRIES)

    def crush(self, candidate: Candidate) -> tuple[Load, list[Response]]:
        """Three times the capacity, and some of the answers whole, asked for in between."""
        answers: list[Response] = []
        workload = get("/vouchers/{number}", number=uniform(1, _MOST_NUMBER))
        with self._clients(self._side, candidate, workload, 1) as target:

            def look() -> None:
                until = perf_counter() + _CRUSH_SECONDS
                while perf_counter() < until:
                    with suppress(LoadError):  # this one has hung up
                        answers.extend(self._side.sample(target))

            load = self._load(candidate, [(_CRUSH_SECONDS, CRUSH)], beside=look)
        return load, answers

    def calm(self, candidate: Candidate) -> tuple[Load, int, int]:
        """0.7 of the capacity; also how many were refused, of how many, on 200 kept connections."""
        rate = CALM * self._faster(candidate) * self._just_before().rate
        with self._vouchers(candidate, _KEPT_ALIVE) as target:
            sent = self._exam.generator.open(target, rate=rate, seconds=_KEPT_ALIVE_SECONDS)
        load = self._load(candidate, [(_CALM_SECONDS, CALM)])
        refused = sum(each.count for each in sent.errors if each.status == REFUSED)
        return load, refused, sent.completed + sent.error_count

    def overload(self, candidate: Candidate) -> Overload:
        """1.5 times the capacity, with health checks beside it."""
        health: list[LoadResult] = []
        expected = get("/health", expect_body=b"ok")
        with self._clients(self._side, candidate, expected, _HEALTH_CLIENTS) as target:

            def ask() -> None:
                with suppress(LoadError):
                    seconds = SETTLING + COUNTED
                    sent = self._side.open(target, rate=_HEALTH_PER_SECOND, seconds=seconds)
                    health.append(sent)

            load = self._load(candidate, [(SETTLING + COUNTED, OVERLOAD)], beside=ask)
        if not health:
            raise CouldNotCheck("The health checks could not be sent.")
        return Overload(load, health[0])

    def capacity(self, candidate: Candidate) -> Capacity:
        """What an app serves while two clients wait for each answer."""
        before = _cpu_seconds(candidate)
        with self._exam.alone(candidate), self._vouchers(candidate, _WAITING_CLIENTS) as target:
            sent = self._exam.generator.closed(
                target, seconds=_CAPACITY_SECONDS, warmup_seconds=_CAPACITY_WARMUP_SECONDS
            )
        used = _cpu_seconds(candidate) - before
        seconds = _CAPACITY_SECONDS + _CAPACITY_WARMUP_SECONDS
        return Capacity(sent.throughput, seconds / used if used > 0 else 1.0)

    def _load(
        self,
        candidate: Candidate,
        phases: Phases,
        retries: Retries = NEVER,
        beside: Callable[[], None] | None = None,
    ) -> Load:
        faster = self._faster(candidate)
        before = self._just_before()
        rates = [(seconds, times * faster * before.rate) for seconds, times in phases]
        vouchers = self._vouchers(candidate, _OPEN)
        with self._exam.alone(candidate), vouchers as target, _meanwhile(beside):
            visits = self._exam.generator.visit(
                target, phases=rates, seed=self._exam.new_seed(), retries=retries
            )
        load = Load(visits, before, self._now(), faster)
        if candidate.role == "learner":
            self.refuses |= load.refused > 0
        return load

    def _just_before(self) -> Capacity:
        fresh = perf_counter() - self._measured_at < _FRESH_SECONDS
        return self._latest if fresh else self._now()

    def _now(self) -> Capacity:
        """The reference's.

        Raises:
            CouldNotCheck: it has none.
        """
        self._latest = self.capacity(self._exam.reference)
        sleep(_AWAKE_SECONDS)
        self._measured_at = perf_counter()
        if not self._latest.rate:
            raise CouldNotCheck("The reference answered nothing while its capacity was measured.")
        return self._latest

    def _faster(self, candidate: Candidate) -> float:
        """How many times the given app's capacity a candidate has, if that is clearly more."""
        if candidate.role != "learner":
            return 1.0
        if self._faster_by is None:
            # One window beside a neighbour says nothing: the least of three, if need be.
            ratios = [self._compared(candidate)]
            while ratios[0] > _FASTER and len(ratios) < 3:
                ratios.append(self._compared(candidate))
            self._faster_by = min(ratios) if min(ratios) > _FASTER else 1.0
        return self._faster_by

    def _compared(self, candidate: Candidate) -> float:
        return self.capacity(candidate).rate / self._now().rate

    @contextmanager
    def _vouchers(self, candidate: Candidate, clients: int) -> Iterator[Target]:
        known = [self._exam.random.randint(1, _MOST_NUMBER) for _ in range(_KNOWN)]
        compared = [
            get(f"/vouchers/{number}", expect_body=seal_of(number), weight=_COMPARED / _KNOWN)
            for number in known
        ]
        any_number = uniform(1, _MOST_NUMBER)
        others = get("/vouchers/{number}", number=any_number, weight=1 - _COMPARED)
        workload = mix(others, *compared)
        with self._clients(self._exam.generator, candidate, workload, clients) as target:
            yield target

    @contextmanager
    def _clients(
        self,
        generator: Generator,
        candidate: Candidate,
        traffic: Request | Workload,
        clients: int,
    ) -> Iterator[Target]:
        """Connections of clients who hang up when they have waited for long enough."""
        with self._exam.blaming(candidate):
            target = generator.connect(
                candidate.url,
                traffic,
                concurrency=clients,
                seed=self._exam.new_seed(),
                prepared_requests=_PREPARED,
                timeout_seconds=_PATIENCE_SECONDS,
            )
            try:
                yield target
            finally:
                with suppress(LoadError):
                    generator.disconnect(target)


@contextmanager
def _meanwhile(work: Callable[[], None] | None) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _cpu_seconds(candidate: Candidate) -> float:
    with suppress(CouldNotCheck):  # then times are taken as they are
        return candidate.cpu_seconds()
    return 0.0
