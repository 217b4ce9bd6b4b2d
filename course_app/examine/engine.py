"""The examination: serve the app in a process of its own, ask it in several ways, and judge."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from course_app.errors import CourseError
from course_app.examine.causes import FINDERS
from course_app.examine.causes.overload import after_answers
from course_app.examine.chart import Asked, Chart, Growth, finding
from course_app.examine.findings import (
    Bound,
    Cause,
    Evidence,
    Finding,
    Report,
    RouteReport,
)
from course_app.examine.seen import Look, Place
from course_app.examine.servers import Servers, difference
from course_app.examine.target import CannotExamine, Target
from course_app.examine.ward import LOOK_SECONDS, Ward, WardGone
from course_app.load import Generator, LoadResult, Request, Workload, mix
from course_app.load.generator import Target as Connected
from course_app.load.limits import BadWorkload, GeneratorEnded, LoadError
from course_app.words import amount

#: What goes on, the share of it that is done (0 to 1), and the seconds that are left (about).
Progress = Callable[[str, float, float], None]

#: Clients that ask at the same time: some complaints show with a handful, one only above 40.
CROWDS = (8, 32, 64)
#: One client's samples order awaits of a few milliseconds; a crowd's give shares.
_ALONE_PERIOD_SECONDS = 0.001
_CROWD_PERIOD_SECONDS = 0.005
_ALONE_SECONDS = 1.2
_CROWD_SECONDS = 2.0
_LAYER_SECONDS = 0.4
#: With more routes each is looked at for less long, but not for less than this.
_LEAST_SECONDS = 0.4
_TIMEOUT_SECONDS = 6.0
#: Windows of equal numbers of requests, for memory; so long is one about, and at most so many.
_MEMORY_WINDOWS = 6
_MEMORY_SECONDS = 0.9
_MEMORY_CLIENTS = 8
_MOST_REQUESTS = 4000
#: Fewer say nothing of a growth. Where answers are slow, a window for them may take so long.
_LEAST_REQUESTS = 50
_MOST_MEMORY_SECONDS = 4.0
_TOO_SLOW = "Memory was not looked at: answers are too slow."
_LINE_WINDOWS = 2
#: Errors of one client that are no failures: a route that asks for a login gives them to everybody,
#: and one that takes longer than our time limit fails under no load.
_NO_FAILURES = {"status", "body", "timeout"}
#: Failures of the load's own side, of which no app is guilty.
_OURS = (GeneratorEnded, BadWorkload)
_OUR_CRASH = (
    "It crashed while instruments looked into it, and its last requests without them did not crash "
    "it: that is most likely the examination's fault, not the app's. Examine it once more."
)
#: Memory that grows ends the process some day: only what makes a route more than four times as fast
#: is more urgent.
_MEMORY_COSTS = 4.0
_REFUSED = re.compile(
    r"too ?many ?(clients|connections)|connection slots|number of clients", re.IGNORECASE
)
#: What every browser and client library sends.
_ACCEPTS = ("accept-encoding", "gzip")


def examine_now(
    target: Target,
    traffic: Sequence[Request],
    *,
    services: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    seconds: float = 60.0,
) -> Report:
    """Examine an app under the traffic that is given; blocks until it is done.

    Args:
        target: the app; it is loaded in a process of its own, which ends with this call.
        traffic: one request for each route, with changing values and the statuses that are right.
        services: ``postgres_dsn`` and ``valkey_url`` of the lab, for a factory that asks for them.
        progress: is told what goes on.
        stop: once set, what is known so far is reported (``Report.partial``).
        seconds: about how long it may take; more routes than fit are each looked at for less long.

    Raises:
        CannotExamine: the app does not load, does not start, or answers no request rightly.
    """
    told = progress or _nobody
    return Examination(target, traffic, services or {}, told, stop, seconds).run()


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """One cause at one place is one finding, whatever routes lead there: the first, and theirs."""
    kept: dict[object, Finding] = {}
    for each in findings:
        key = (each.cause, each.where, each.confirmed) if each.where is not None else id(each)
        first = kept.setdefault(key, each)
        routes = dict.fromkeys([*first.routes, *each.routes])
        kept[key] = first.model_copy(update={"route": ", ".join(routes)})
    return list(kept.values())


def _nobody(_what: str, _done: float, _left: float) -> None:
    """Nobody wants to know."""


class _Stopped(Exception):
    """The user has seen enough."""


@dataclass(frozen=True)
class _Sent:
    """What was sent last: if it ends the app, it is sent again where nothing looks."""

    workload: Request | Workload
    clients: int
    seconds: float | None = None
    requests: int | None = None
    seed: int = 0


class Examination:
    """One app, asked in phases; each adds to the chart, from which the causes are read."""

    def __init__(
        self,
        target: Target,
        traffic: Sequence[Request],
        services: Mapping[str, str],
        progress: Progress,
        stop: threading.Event | None,
        seconds: float,
    ) -> None:
        if not traffic:
            raise CannotExamine(
                f"{target.text} has no route that can be asked. Name some with --get, or write "
                "ROUTES beside the app."
            )
        self._target, self._services, self._stop = target, services, stop
        self._progress = progress
        self._began = time.monotonic()
        self._seconds = seconds
        self.chart = Chart(asked=[Asked(_accepting(r), r.describe()) for r in traffic])
        # Start, crowds and memory take so long, alone, layers and encoders about 2.4 s a route.
        fixed = 22.0
        self._hurry = min(1.0, max(0.5, seconds / fixed))
        self._scale = min(1.0, max(0.15, (seconds - fixed) / (len(traffic) * 2.4)))
        # Many looks end sooner than they may: an app of one route takes 15 s, one of 80 takes 120.
        self._expected = 0.6 * (fixed * self._hurry + len(traffic) * 2.4 * self._scale)
        self._partial = False
        self._under_way = ""
        self._ward: Ward | None = None
        self._failed: list[Finding] = []
        self._last: _Sent | None = None
        self._crashed_by_us = False

    def run(self) -> Report:
        """All phases; what fails in one is noted, and the next one tried."""
        servers = Servers(self._services)
        try:
            self._tell("starting the app")
            with Generator() as self._generator:
                self._served(servers)
        except _Stopped:
            self._partial = True
            self._noted("It was stopped: what came later was not looked at.")
        finally:
            servers.close()
        report = self._report()
        if self._crashed_by_us and not report.findings:
            raise CannotExamine(f"{self._target.text} could not be examined. {_OUR_CRASH}")
        return report

    def _served(self, servers: Servers) -> None:
        self._ward = Ward(self._target, self._services)
        try:
            self._phases(servers)
        except _OURS as error:
            raise CannotExamine(
                f"{self._target.text} could not be examined, and not by its own fault: what sends "
                f"the requests failed. {error}"
            ) from error
        except (WardGone, LoadError) as error:
            self._gone(error)
        finally:
            self._ward.stop()

    def _phases(self, servers: Servers) -> None:
        self._each_alone()
        if not self.chart.by_alone:
            raise CannotExamine(self._nothing_answers())
        self._crowds(servers)
        self._layers()
        self._plans()
        try:
            self._memory()
        except (WardGone, LoadError):
            raise
        except CourseError as error:
            self._noted(f"Memory was not looked at to its end: {error}")

    # phases

    def _each_alone(self) -> None:
        for asked in self.chart.asked:
            self._tell(f"one client: {asked.name}")
            seconds = max(_LEAST_SECONDS, _ALONE_SECONDS * self._scale)
            try:
                if not self._answers_once(asked):
                    continue
                asked.alone = self._window(asked.request, 1, seconds, period=_ALONE_PERIOD_SECONDS)
                self._learn(asked, asked.alone)
            except _OURS:
                raise
            except (WardGone, LoadError) as error:
                asked.alone = None
                self._noted(f"{asked.name} was not looked at: {error}")
                self._revive(asked)

    def _answers_once(self, asked: Asked) -> bool:
        """One request goes before the window: who hangs or fails costs one time limit only."""
        first = self._send(_Sent(asked.request, 1, requests=3))
        if first.completed:
            return True
        got = first.errors[0].got if first.errors else "no answer"
        self._noted(f"{asked.name} was not looked at: with one client no answer was right ({got}).")
        kinds = first.errors_by_kind.keys()
        self._partial |= "timeout" in kinds  # slow or stuck: nobody knows
        self._revive(asked, failed=not kinds or not kinds <= _NO_FAILURES)
        return False

    def _revive(self, asked: Asked, *, failed: bool = True) -> None:
        """A route that ends or blocks the whole app for good must not take the others along.

        ``failed``: it gave no answers, not even wrong or late ones. Those are no finding in an app
        that lives on.
        """
        answers = Evidence(
            look="answers to the clients",
            says=f"{asked.name}: {self._last_note()}",
        )
        turns, place = self._living.held()
        if turns:
            if failed:
                self._fails(Cause.FAILS_UNDER_LOAD, asked.name, None, answers)
            return
        if self._living.running:
            stack = Evidence(
                look="stacks of the loop's thread",
                says="The loop does not turn any more"
                + (f"; it is held in {place.file}:{place.line} ({place.code})." if place else "."),
            )
            self._fails(Cause.BLOCKED_LOOP, asked.name, place, answers, stack)
        elif (ended := self._ended()) is not None:
            self._fails(Cause.FAILS_UNDER_LOAD, asked.name, None, answers, ended)
        self._living.stop()
        self._ward = Ward(self._target, self._services)

    def _last_note(self) -> str:
        return self.chart.notes[-1].partition(": ")[2] if self.chart.notes else ""

    def _fails(self, cause: Cause, route: str, place: Place | None, *evidence: Evidence) -> None:
        """A finding that shows before any load; what it costs cannot be said by a factor."""
        unknown = Bound(estimate=1.0, low=1.0, high=1.0, confidence=0.0)
        self._failed.append(finding(cause, route, place, list(evidence), unknown))

    def _learn(self, asked: Asked, look: Look) -> None:
        routes = Counter(visit.route for visit in look.visits)
        if routes:
            asked.template = routes.most_common(1)[0][0]
        for library in look.raw["missing"]:
            self._noted(f"Not every call was seen: this release is not known ({library}).")
        right = look.load.completed
        if not right:
            example = f" ({look.load.errors[0].got})" if look.load.errors else ""
            self._noted(
                f"{asked.name} was not looked at: with one client no answer was right{example}."
            )
            asked.alone = None
            return
        if not asked.visits():
            self.chart.notes.append(f"{asked.name} was not looked at: no request came to an end.")
        with_values = self._generator.connect(self._ward_url, asked.request, timeout_seconds=10)
        try:
            with suppress(LoadError):
                asked.response = self._generator.sample(with_values)[0]
        finally:
            self._generator.disconnect(with_values)

    def _crowds(self, servers: Servers) -> None:
        requests = [asked.request for asked in self.chart.asked if asked.alone is not None]
        workload = mix(*requests) if len(requests) > 1 else requests[0]
        before = self._read(servers)
        total = 0
        for clients in CROWDS:
            self._tell(f"{clients} clients: all routes")
            self._under_way = f"With {clients} clients"
            states: Counter[str] = Counter()
            done = servers.watch(states)
            try:
                look = self._window(
                    workload,
                    clients,
                    _CROWD_SECONDS * self._hurry,
                    period=_CROWD_PERIOD_SECONDS,
                )
            except _OURS:
                raise
            except LoadError as error:
                self._partial = True
                self._noted(f"With {clients} clients it was not looked at: {error}")
                break
            finally:
                done.set()
            look.sessions = states
            self.chart.crowds.append(look)
            total += len(look.visits)
        if before:
            time.sleep(1.1)  # PostgreSQL's sessions report what they read once a second
            each = difference(before, self._read(servers), total)
            self.chart.executed, self.chart.scanned = each.get("executed"), each.get("scanned")
            self.chart.sessions = each.get("sessions")
            self.chart.valkey_connections = each.get("connections")
        else:
            self._noted("No server of the lab is used: nothing was counted on the server's side.")

    def _layers(self) -> None:
        ward = self._living
        for asked in self.chart.by_alone:
            self._tell(f"layers and answers: {asked.name}")
            self._under_way = f"While layers and answers of {asked.name} were measured"
            try:
                asked.encoding = ward.ask("encoding", route=asked.template)
                asked.layers = ward.ask(
                    "layers",
                    route=asked.template,
                    seconds=max(0.1, _LAYER_SECONDS * self._scale),
                )
                if why := asked.layers.get("skipped"):
                    self._noted(f"What layers cost {asked.name} was not looked at: {why}.")
            except WardGone:
                raise
            except CourseError as error:
                self._noted(f"What layers cost {asked.name} was not looked at: {error}")

    def _plans(self) -> None:
        dsn = self._services.get("postgres_dsn")
        asks = any(
            c.kind == "sql" for a in self.chart.by_alone for v in a.visits() for c in v.calls
        )
        if not asks:
            return
        if dsn is None:
            self._noted("Plans were not looked at: the app's database is not the lab's.")
            return
        self._tell("plans of the statements")
        self._under_way = "While plans of the statements were read"
        try:
            self.chart.plans = self._living.ask("plans", dsn=dsn)["plans"]
        except WardGone:
            raise
        except CourseError as error:
            self._noted(f"Plans were not looked at: {error}")

    def _memory(self) -> None:
        """Windows of equal numbers of requests, none of which was sent before."""
        last = self.chart.crowds[0] if self.chart.crowds else None
        if last is None or last.load.completed == 0:
            self._noted("Memory was not looked at: no crowd was answered before.")
            return
        requests = [asked.request for asked in self.chart.asked if asked.alone is not None]
        workload = mix(*requests) if len(requests) > 1 else requests[0]
        longest = _MOST_MEMORY_SECONDS * self._hurry
        if last.load.throughput * longest < _LEAST_REQUESTS:
            self._noted(_TOO_SLOW)
            return
        usual = int(last.load.throughput * _MEMORY_SECONDS * self._hurry)
        many = min(_MOST_REQUESTS, max(_LEAST_REQUESTS, usual))
        # Answers may have become slower meanwhile: then the phase ends, too.
        sent = _Sent(workload, _MEMORY_CLIENTS, seconds=2 * longest)
        self._under_way = f"While memory was measured with {amount(sent.clients, 'client')}"
        ward = self._living
        sizes, cpu = [], []
        began = float(ward.ask("memory")["cpu"])
        for number in range(_MEMORY_WINDOWS):
            self._tell(f"memory: window {number + 1} of {_MEMORY_WINDOWS}")
            load = self._send(replace(sent, requests=many, seed=100 + number))
            after = ward.ask("memory")
            if load.completed + load.error_count < many:
                self._noted(_TOO_SLOW)
                return
            sizes.append(int(after["rss"]))
            cpu.append((float(after["cpu"]) - began) / many)
            began = float(after["cpu"])
        self.chart.growth = Growth(many, tuple(sizes), tuple(cpu))
        steps = [b - a for a, b in itertools.pairwise(sizes)]
        if sorted(steps)[len(steps) // 2] < 200 * many:
            return
        few = max(_LEAST_REQUESTS, many // 4)
        ward.ask("allocations", what="start")
        seen = []
        for number in range(_LINE_WINDOWS + 1):
            self._tell("memory: where it was allocated")
            self._send(replace(sent, requests=few, seed=200 + number))
            seen.append(
                {
                    (file, line): (code, size)
                    for file, line, code, size in ward.ask("allocations", what="look")["bytes"]
                }
            )
        ward.ask("allocations", what="end")
        lines = [
            (file, line, code, tuple(
                later.get((file, line), ("", 0))[1] - earlier.get((file, line), ("", 0))[1]
                for earlier, later in itertools.pairwise(seen)
            ))
            for (file, line), (code, _) in seen[-1].items()
        ]  # fmt: skip
        self.chart.growth = replace(self.chart.growth, lines=tuple(lines))

    # asking

    @property
    def _living(self) -> Ward:
        assert self._ward is not None
        return self._ward

    @property
    def _ward_url(self) -> str:
        return self._living.url

    def _window(self, workload: Any, clients: int, seconds: float, *, period: float) -> Look:
        ward = self._living
        sent = _Sent(workload, clients, seconds=seconds)
        with self._connected(sent, ward) as target:
            self._generator.closed(target, requests=max(1, clients // 4))  # warm caches and pools
            ward.ask("start", period=period)
            load = self._generator.closed(target, seconds=seconds)
            return Look(clients, load, ward.ask("stop"))

    def _send(self, sent: _Sent, ward: Ward | None = None) -> LoadResult:
        with self._connected(sent, ward or self._living) as target:
            return self._generator.closed(target, seconds=sent.seconds, requests=sent.requests)

    @contextmanager
    def _connected(self, sent: _Sent, ward: Ward) -> Iterator[Connected]:
        self._last = sent
        target = self._generator.connect(
            ward.url,
            sent.workload,
            concurrency=sent.clients,
            seed=sent.seed,
            prepared_requests=sent.requests,
            timeout_seconds=_TIMEOUT_SECONDS,
            resend=True,  # one route's broken connection is no error of the next one
        )
        try:
            yield target
        finally:
            self._generator.disconnect(target)

    def _ended(self) -> Evidence | None:
        """Whether the app's process ends as well where nothing looks into it.

        None where our own instruments are the likeliest reason, which is noted: it crashed below
        Python, and does not do so without them.
        """
        assert self._last is not None
        look = "the last requests without instruments"
        how = self._living.ended()
        try:
            with Ward(self._target, self._services, observed=False) as plain:
                with suppress(LoadError):
                    self._send(self._last, plain)
                ends = plain.ends_within(LOOK_SECONDS)
        except CannotExamine as error:
            return Evidence(look=look, says=f"It does not start any more: {error}")
        if ends:
            return Evidence(look=look, says="The process ends by itself there, too.")
        if self._living.crashed:
            self._crashed_by_us = self._partial = True
            self._noted(_OUR_CRASH)
            return None
        return Evidence(look=look, says=f"{how} There it goes on.", agrees=False)

    def _read(self, servers: Servers) -> dict[str, Any]:
        try:
            return servers.read()
        except Exception as error:  # whatever a server's driver raises: then this look is missing
            self._noted(f"The servers' own counts were not looked at: {error}")
            return {}

    # saying

    def _noted(self, sentence: str) -> None:
        self.chart.notes.append(sentence)

    def _tell(self, what: str) -> None:
        if self._stop is not None and self._stop.is_set():
            raise _Stopped
        spent = time.monotonic() - self._began
        left = max(0.0, self._expected - spent)
        self._progress(what, min(0.99, spent / self._expected), left)

    def _nothing_answers(self) -> str:
        why = " ".join(self.chart.notes[:3])
        said = self._living.said
        return f"{self._target.text} could not be examined. {why}" + (
            f" It printed last:\n{said}" if said else ""
        )

    def _gone(self, error: Exception) -> None:
        """The app ended, or stopped to answer, while it was asked."""
        known = bool(self.chart.by_alone)
        alive = not self._living.ends_within(1.0)
        if not known:
            raise CannotExamine(str(error)) from error
        self._partial = True
        self.chart.notes.append(f"It ended early: {error}")
        evidence = [
            Evidence(look="answers to the clients", says=f"{self._under_way}: {error}"),
        ]
        if not alive:
            ended = self._ended()
            if ended is None:
                return
            evidence.append(ended)
        routes = ", ".join(asked.name for asked in self.chart.by_alone)
        self._fails(Cause.FAILS_UNDER_LOAD, routes, None, *evidence)

    def _report(self) -> Report:
        found = list(self._failed)
        for find in FINDERS:
            try:
                found += find(self.chart)
            except Exception as error:  # one look that errs must not take the others along
                self._noted(f"{find.__name__} was not judged: {type(error).__name__}: {error}")
        self.chart.notes += after_answers(self.chart)
        found = merged(ranked(found))
        return Report(
            healthy=not found and not self._partial,
            findings=tuple(found),
            target=self._target.text,
            routes=tuple(self._route(asked) for asked in self.chart.asked),
            not_looked_at=tuple(dict.fromkeys(self.chart.notes)),
            seconds=time.monotonic() - self._began,
            partial=self._partial,
        )

    def _route(self, asked: Asked) -> RouteReport:
        """What its clients saw: a request that waits for a blocked loop is not in the app yet."""
        p50: dict[int, float | None] = {}
        rate: dict[int, float] = {}
        errors: dict[int, int] = {}
        example = ""
        for look in (asked.alone, *self.chart.crowds) if asked.alone is not None else ():
            index = self.chart.index_of(look, asked)
            _told(look.load, index, look.clients, p50, rate)
            errors[look.clients] = self.chart.wrong_answers(look, asked)
            mine = (str(e) for e in look.load.errors if e.request_index == index)
            example = next(mine, example)
        return RouteReport(
            route=asked.name, p50_ms=p50, throughput=rate, errors=errors, example=example
        )


def _told(
    load: LoadResult,
    index: int,
    clients: int,
    p50: dict[int, float | None],
    rate: dict[int, float],
) -> None:
    mine = load.request_index == index
    p50[clients] = float(np.median(load.service_ms[mine])) if mine.any() else None
    # Whole answers would be too many: slow ones that began in the window end long after it.
    own = replace(load, start_ns=load.start_ns[mine], end_ns=load.end_ns[mine])
    rate[clients] = own.throughput


def _accepting(request: Request) -> Request:
    """Compression shows only to those who accept it."""
    if any(name.lower() == _ACCEPTS[0] for name, _ in request.headers):
        return request
    return replace(request, headers=(*request.headers, _ACCEPTS))


def ranked(found: Sequence[Finding]) -> list[Finding]:
    """Confirmed before suspected; then wrong answers, then by what it costs.

    Memory costs no time until it ends the process: it counts as a large gain would. Connections
    that a server refuses come of those that are opened for each request, where they are.
    """
    opened = [
        each.at_most.estimate
        for each in found
        if each.cause is Cause.CONNECTION_PER_REQUEST and each.confirmed
    ]

    def key(each: Finding) -> tuple[bool, float, bool]:
        failing = each.cause is Cause.FAILS_UNDER_LOAD
        cost = each.at_most.estimate
        if failing:
            refused = any(_REFUSED.search(evidence.says) for evidence in each.evidence)
            cost = max(opened) if refused and opened else float("inf")
        if each.cause is Cause.GROWING_MEMORY:
            cost = _MEMORY_COSTS
        return not each.confirmed, -cost, failing

    return sorted(found, key=key)
