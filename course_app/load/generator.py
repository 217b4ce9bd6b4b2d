"""The owner's side of the load generator: one child process that sends all load.

The child has its own interpreter, so that it takes nothing from a server in a thread of this one;
while it works, the owner waits in C. It ends with its owner, however that ends.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from course_app.load import limits
from course_app.load.child import Child
from course_app.load.description import describe_workload
from course_app.load.limits import GeneratorEnded, OutOfBounds, within
from course_app.load.result import LoadResult, Response, responses_of, result_of
from course_app.load.visits import NEVER, Retries, Visits, visits_of
from course_app.load.workload import Request, Workload, as_workload

DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_BACKLOG = 10_000
MOST_WARMUP_SECONDS = 10.0
MOST_SAMPLES = 10_000
SPARE_SECONDS = 30.0
"""What a command may take beyond its own time before the process counts as stuck."""
JUMP = limits.MOST_REQUESTS
"""How far a sequence goes on after a window whose end is not known (an interrupt): no window sends
more, so that no value comes twice."""


@dataclass(eq=False)
class Target:
    """A server and the workload for it, connected by `Generator.connect`."""

    url: str
    workload: Workload
    concurrency: int
    seed: int
    timeout_seconds: float
    _options: dict[str, Any] = field(repr=False)
    _number: int = 0
    _child: Child | None = field(default=None, repr=False)
    _next_number: int = field(default=0, repr=False)


class Generator:
    """Sends workloads to servers on this machine, from a process of its own.

    The process starts with the first connection. After an interrupt, or if it was killed, the next
    call starts a new one and connects its targets again.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._child: Child | None = None
        self._used_cpu_seconds = 0.0
        self._targets = 0

    def connect(
        self,
        url: str,
        workload: str | Request | Workload,
        *,
        concurrency: int = 1,
        seed: int = 0,
        prepared_requests: int | None = None,
        number_requests: bool = False,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        seconds_apart: float = 0.0,
        resend: bool = False,
    ) -> Target:
        """Open ``concurrency`` connections and render the requests, before any window.

        Changing values are drawn without end. With ``prepared_requests`` just so many requests
        repeat instead, unless the workload holds a `sequence`, which never repeats.
        ``number_requests`` adds the header ``x-request-number`` (0, 1, ...).
        A request without an answer within ``timeout_seconds`` is an error. Connections that are
        opened ``seconds_apart`` do not reach the server in one burst. With ``resend`` a GET or HEAD
        is sent again, once, if a connection that was used before ends before its answer begins:
        the one before may be why (RFC 9112, 9.3.1).

        Raises NotLoopback, OutOfBounds, BadWorkload, NobodyListens.
        """
        within("concurrency", concurrency, 1, limits.MOST_CONCURRENCY)
        if prepared_requests is not None:
            within("prepared_requests", prepared_requests, 1, limits.MOST_PREPARED_REQUESTS)
        within("timeout_seconds", timeout_seconds, 0.01, limits.MOST_TIMEOUT_SECONDS)
        within("seconds_apart", seconds_apart, 0.0, limits.MOST_SECONDS_APART)
        host, port = limits.loopback_address(url)
        known = as_workload(workload)
        options = {
            "address": (host, port),
            "host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workload": describe_workload(known),
            "seed": seed,
            "concurrency": int(concurrency),
            "prepared_requests": prepared_requests,
            "number_requests": number_requests,
            "timeout_seconds": timeout_seconds,
            "seconds_apart": seconds_apart,
            "resend": resend,
        }
        with self._lock:
            self._targets += 1
            target = Target(url, known, concurrency, seed, timeout_seconds, options, self._targets)
            self._connected(target)
        return target

    def closed(
        self,
        target: Target,
        *,
        seconds: float | None = None,
        requests: int | None = None,
        warmup_seconds: float = 0.0,
        keep: int = 0,
    ) -> LoadResult:
        """Closed model: the target's ``concurrency`` requests are in flight at any time.

        Lasts for ``seconds`` after the warm-up (at most 60), or until ``requests`` were answered;
        with both, until the first of these.
        ``keep`` answers, or fewer, are kept whole, drawn at random (``LoadResult.kept``).
        Raises OutOfBounds, NobodyListens, GeneratorEnded.
        """
        if seconds is None and requests is None:
            raise OutOfBounds("A closed window needs seconds=... or requests=...")
        if seconds is not None:
            within("seconds", seconds, 0.001, limits.MOST_SECONDS)
        if requests is not None:
            within("requests", requests, 1, limits.MOST_REQUESTS)
        within("warmup_seconds", warmup_seconds, 0, MOST_WARMUP_SECONDS)
        within("keep", keep, 0, MOST_SAMPLES)
        options = {
            "seconds": seconds,
            "requests": requests,
            "warmup_seconds": warmup_seconds,
            "keep": keep,
        }
        length_seconds = warmup_seconds + (seconds or limits.MOST_SECONDS)
        return self._window("closed", target, options, length_seconds)

    def open(
        self, target: Target, *, rate: float, seconds: float, max_backlog: int = DEFAULT_BACKLOG
    ) -> LoadResult:
        """Open model: ``rate`` requests per second arrive evenly, however slow the answers are.

        Latency counts from when a request should have been sent (Tene, "How not to measure
        latency": anything else leaves out the waiting, "coordinated omission"). Arrivals that find
        every connection in use wait in a backlog of at most ``max_backlog``; more are *missed*.
        Raises OutOfBounds, NobodyListens, GeneratorEnded.
        """
        within("rate", rate, 0.01, limits.MOST_RATE)
        within("seconds", seconds, 0.001, limits.MOST_SECONDS)
        within("max_backlog", max_backlog, 0, limits.MOST_BACKLOG)
        options = {"rate": rate, "seconds": seconds, "max_backlog": int(max_backlog)}
        return self._window("open", target, options, seconds, rate=rate)

    def visit(
        self,
        target: Target,
        *,
        phases: Sequence[tuple[float, float]],
        seed: int | None = None,
        retries: Retries = NEVER,
    ) -> Visits:
        """Open model whose clients hang up after the target's time-out, and may try again.

        Each visitor has a connection of its own: one that is idle, or a new one.

        Args:
            phases: (seconds, visitors per second), one after another.
            seed: draws the times of arrival (a Poisson process, as of many strangers who do not
                know of each other); without it they arrive evenly.

        Raises OutOfBounds, NobodyListens, GeneratorEnded.
        """
        for seconds, rate in phases:
            within("rate", rate, 0.01, limits.MOST_RATE)
            within("seconds", seconds, 0.001, limits.MOST_SECONDS)
        seconds = sum(seconds for seconds, _ in phases)
        within("seconds", seconds, 0.001, limits.MOST_SECONDS)
        options = {"phases": list(phases), "seed": seed, "retries": asdict(retries)}
        with self._lock:
            asked = {"target": self._connected(target), **options}
            longest = seconds + retries.longest_seconds(target.timeout_seconds)
            reply, arrays = self._ask("visit", asked, [target], longest)
        return visits_of(reply, arrays)

    def alternate(self, targets: Sequence[Target], *, seconds: float) -> list[LoadResult]:
        """Single requests, one in flight in all, to the targets in the order A B B A.

        One result for each target; their windows, and the generator's CPU time, are the common one.
        Raises OutOfBounds, NobodyListens, GeneratorEnded.
        """
        within("seconds", seconds, 0.001, limits.MOST_SECONDS)
        within("the number of targets", len(targets), 1, limits.MOST_CONCURRENCY)
        with self._lock:
            asked = {"targets": [self._connected(each) for each in targets], "seconds": seconds}
            reply, arrays = self._ask("alternate", asked, targets, seconds)
        return [
            result_of(reply, arrays, position, concurrency=1, rate=None)
            for position in range(len(targets))
        ]

    def sample(
        self, target: Target, count: int = 1, *, numbers: Sequence[int] | None = None
    ) -> list[Response]:
        """The whole answers to the first ``count`` requests of the stream, sent one by one.

        With ``numbers`` to those requests of the stream (see ``LoadResult.kept``) instead. A
        workload that holds a `sequence` repeats no request: its next ones are sent. Statuses and
        bodies are not judged. Raises OutOfBounds, NobodyListens, NoAnswer, GeneratorEnded.
        """
        count = count if numbers is None else len(numbers)
        within("count", count, 1, MOST_SAMPLES)
        with self._lock:
            asked: dict[str, Any] = {"target": self._connected(target), "count": int(count)}
            if numbers is not None:
                asked |= {"numbers": list(numbers)}
            length_seconds = count * target.timeout_seconds
            reply, bodies = self._ask("sample", asked, [target], length_seconds)
        return list(responses_of(reply, bodies))

    def disconnect(self, target: Target) -> None:
        """Close a target's connections; it connects again if it is used again."""
        with self._lock:
            if target._child is not None and not target._child.ended:
                with contextlib.suppress(GeneratorEnded):  # then its connections are closed too
                    target._child.command("disconnect", {"target": target._number}, SPARE_SECONDS)
            target._child = None

    def close(self) -> None:
        """End the process. A closed generator starts again if it is used again."""
        with self._lock:
            if self._child is not None:
                self._child.end()
                self._used_cpu_seconds += self._child.cpu_seconds
                self._child = None

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the process until its last answer."""
        return self._used_cpu_seconds + (self._child.cpu_seconds if self._child else 0.0)

    @property
    def pid(self) -> int | None:
        """The process's number, or None while there is none."""
        return self._child.pid if self._child is not None and not self._child.ended else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _window(
        self,
        command: str,
        target: Target,
        options: dict[str, Any],
        seconds: float,
        rate: float | None = None,
    ) -> LoadResult:
        with self._lock:
            asked = {"target": self._connected(target), **options}
            reply, arrays = self._ask(command, asked, [target], seconds)
        return result_of(reply, arrays, 0, concurrency=target.concurrency, rate=rate)

    def _ask(
        self, command: str, options: dict[str, Any], targets: Sequence[Target], seconds: float
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        numbers = [target._next_number for target in targets]
        for target in targets:
            target._next_number += JUMP
        slowest_seconds = max(target.timeout_seconds for target in targets)
        limit_seconds = seconds + 2 * slowest_seconds + SPARE_SECONDS
        reply, arrays = self._living().command(command, options, limit_seconds)
        for target, number in zip(targets, reply.get("next", numbers), strict=True):
            target._next_number = number
        return reply, arrays

    def _connected(self, target: Target) -> int:
        child = self._living()
        if target._child is not child:
            first = {"target": target._number, "first_number": target._next_number}
            opening_seconds = target.concurrency * target._options["seconds_apart"]
            child.command("connect", {**target._options, **first}, opening_seconds + SPARE_SECONDS)
            target._child = child
        return target._number

    def _living(self) -> Child:
        if self._child is not None and self._child.ended:
            self.close()
        if self._child is None:
            self._child = Child()
            weakref.finalize(self, self._child.end)
        return self._child
