"""One app under load: its server, what is sent to it, and what is counted about it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import active_children

from course_app.load import Generator, LoadResult, Target, Workload
from course_app.measure.probes import Counts, Probe, Reading
from course_app.measure.probes.asgi import InFlight
from course_app.serving import AppDoesNotAnswer, ProcessServer, ThreadServer, UsageNotKnown
from course_app.system.cores import usable_cores
from course_app.system.usage import cpu_seconds

#: Tells the reader what is going on; called between windows, never during one.
Progress = Callable[[str], None]

#: A counting pass is long enough to average over, short enough not to be noticed.
_COUNTED_SECONDS = 0.4
_COUNTED_REQUESTS_MOST = 400

#: One request under way and the next one waiting keep a worker busy without a gap.
_FEWEST_CONNECTIONS = 2
#: Of many workers some may stay idle: that all of eight are met by chance is rare, and one of them
#: more or less is not what decides.
_SHARE_OF_WORKERS = 0.75
_CONNECT_AGAIN = 20
_CONNECT_SECONDS = 4.0
_MORE_SECONDS_APART = 0.001
_ACCEPTED_SECONDS = 0.01

_LEAST_WARMUP_SECONDS, _LONGEST_WARMUP_SECONDS = 0.03, 1.0
_NEVER_NS = 2**62


def silent(_text: str) -> None:
    """Progress that nobody wants to see."""


@dataclass
class Subject:
    """An app that is served and has connections of the load generator open to it."""

    name: str
    server: ThreadServer | ProcessServer
    target: Target
    gauge: InFlight | None = None
    probes: Sequence[Probe] = field(default_factory=tuple)
    _children_seconds: dict[tuple[str, int | None], float] = field(default_factory=dict, repr=False)

    @property
    def concurrency(self) -> int:
        """Requests in flight under the closed model."""
        return self.target.concurrency

    def responds(self) -> bool:
        """Whether its event loop runs, as far as that can be known."""
        return isinstance(self.server, ProcessServer) or self.server.responds()

    def thread_ids(self) -> tuple[int, ...]:
        """Native ids of server threads in this process."""
        return (self.server.native_id,) if isinstance(self.server, ThreadServer) else ()

    def work(self) -> tuple[float | None, int | None]:
        """CPU seconds used so far and requests served so far, each where that is known."""
        served = self.gauge.served if self.gauge is not None else None
        if isinstance(self.server, ThreadServer):
            # All threads but this one: `def` handlers work in a pool of threads of their own.
            own_seconds = time.process_time() - time.thread_time()
            return own_seconds + self._in_pools_seconds(), served
        try:
            return self.server.cpu_seconds(), served
        except UsageNotKnown:
            return None, served

    def _in_pools_seconds(self) -> float:
        """CPU time of worker processes that the app has started with Python's `multiprocessing`.

        One that has ended keeps what it had used when it was last looked at: a sum never shrinks.
        """
        for child in active_children():
            used = cpu_seconds(child.pid) if child.pid is not None else None
            if used is not None:
                self._children_seconds[child.name, child.pid] = used
        return sum(self._children_seconds.values())


def require_in_time(server: ThreadServer | ProcessServer, load: LoadResult) -> LoadResult:
    """The same load, if no request of it timed out.

    Raises:
        AppDoesNotAnswer: one did; the message says where the app waits, if it is in this process.
    """
    late = load.errors_by_kind.get("timeout", 0)
    if not late:
        return load
    sent = load.served + load.error_count
    examples = (f"{x.request_line}: {x.got}" for x in load.errors if x.kind == "timeout")
    which = "" if sent == 1 else f" ({late} of {sent} requests)"
    raise silence(server, f"{next(examples, 'time-outs')}{which}")


def silence(server: ThreadServer | ProcessServer, what: str) -> AppDoesNotAnswer:
    """The error for requests without an answer in time."""
    if isinstance(server, ThreadServer):
        return server.silence(what)
    return AppDoesNotAnswer(
        f'"{server.name}" does not answer: {what}. Hand lab.measure the app itself instead of a '
        "server: then it says at which line the app waits."
    )


def connect(
    generator: Generator,
    server: ThreadServer | ProcessServer,
    workload: Workload,
    concurrency: int,
    prepared_requests: int | None = None,
) -> Target:
    """Connections to a server; to worker processes, so many that most that can work have some.

    Workers race for connections, and those that come in a burst may all go to one worker, which
    keeps them. Then one worker would be measured, so they are opened anew, some times at most, and
    farther and farther apart: on a busy machine the same worker may be the first at every burst.
    """

    def opened(seconds_apart: float = 0.0) -> Target:
        return generator.connect(
            server.url,
            workload,
            concurrency=concurrency,
            prepared_requests=prepared_requests,
            seconds_apart=seconds_apart,
        )

    deadline = time.monotonic() + _CONNECT_SECONDS
    target = opened()
    for again in range(1, _CONNECT_AGAIN + 1):
        reached = isinstance(server, ThreadServer) or _are_spread(server, concurrency)
        if reached or time.monotonic() > deadline:
            break
        generator.disconnect(target)
        target = opened(again * _MORE_SECONDS_APART)
    return target


def _are_spread(server: ProcessServer, concurrency: int) -> bool:
    """Can about as many workers be busy at once as there are cores, clients and workers?"""
    able = min(server.workers, usable_cores(), concurrency // _FEWEST_CONNECTIONS)
    if able <= 1:
        return True
    time.sleep(_ACCEPTED_SECONDS)
    busy = [n for n in server.connections().values() if n >= _FEWEST_CONNECTIONS]
    return len(busy) >= math.ceil(_SHARE_OF_WORKERS * able)


def warmup_seconds(cold: LoadResult) -> float:
    """How long requests go on before a window begins: until all clients had a first answer.

    They send at once, and until most of a crowd has been read, nobody is answered: that is not how
    one is served that comes all the time. (After a second a window begins all the same.)

    Args:
        cold: a load that began without a warm-up; its first requests are those that were sent
            before anybody was answered.
    """
    first_ms = cold.latency_ms[cold.start_ns < cold.end_ns.min(initial=_NEVER_NS)]
    longest = float(first_ms.max(initial=0.0)) / 1e3
    # A crowd is answered in bursts, of which the last may come somewhat later the next time.
    return min(max(1.25 * longest, _LEAST_WARMUP_SECONDS), _LONGEST_WARMUP_SECONDS)


def cpu_per_request_us(
    before: tuple[float | None, int | None], after: tuple[float | None, int | None], served: int
) -> float:
    """CPU per request in µs between two readings of :meth:`Subject.work`; NaN if not known.

    Args:
        served: requests that were served between them, if the subject does not know better.
    """
    if before[1] is not None and after[1] is not None:
        served = after[1] - before[1]
    if before[0] is None or after[0] is None or after[0] <= before[0]:
        return math.nan  # no server works for nothing: its clock has not told yet
    return (after[0] - before[0]) / max(served, 1) * 1e6


def cores_busy(
    before: tuple[float | None, int | None], after: tuple[float | None, int | None], seconds: float
) -> float:
    """Cores kept busy between two readings of :meth:`Subject.work`; NaN if not known."""
    if before[0] is None or after[0] is None:
        return math.nan
    return (after[0] - before[0]) / seconds


def count(
    generator: Generator,
    subject: Subject,
    *,
    requests: int | None = None,
    before: Callable[[], object] | None = None,
) -> tuple[Counts, LoadResult]:
    """Warm the subject up, then count what some hundred requests cause, or one of each client.

    Two rounds of warm-up let pools open and caches fill, so that the counts are those of
    the steady state.

    Args:
        requests: so many are counted, after a warm-up by as many: the counts are those of a window
            of that length, whatever the app's speed.
        before: is called before both, to empty a cache for example.

    Raises:
        AppDoesNotAnswer: a request timed out, or the event loop is blocked.
    """
    prepare = before or _nothing
    prepare()
    warm = generator.closed(subject.target, requests=requests or 2 * subject.concurrency)
    require_in_time(subject.server, warm)
    per_request = warm.window_seconds / max(warm.completed, 1)
    wanted = int(_COUNTED_SECONDS / max(per_request, 1e-6))
    enough = max(min(wanted, _COUNTED_REQUESTS_MOST), subject.concurrency, 20)
    prepare()
    with counting(subject) as readings:
        load = generator.closed(subject.target, requests=requests or enough)
        require_in_time(subject.server, load)
    readings.append(Reading("HTTP bytes received", float(load.bytes_received), unit="B"))
    return Counts(requests=load.completed + load.error_count, readings=tuple(readings)), load


def _nothing() -> None:
    """What comes before a window if nothing has to."""


@contextmanager
def counting(subject: Subject) -> Iterator[list[Reading]]:
    """The probes at work; what they read is there afterwards.

    After an interrupt they end too, because the server may live on, unless its loop is blocked.
    """
    readings: list[Reading] = []
    started: list[Probe] = []
    try:
        for probe in subject.probes:
            probe.start()
            started.append(probe)
        yield readings
        while started:
            readings += started.pop().stop()
    finally:
        if started and subject.responds():
            for probe in reversed(started):
                with suppress(Exception):  # what was raised first is what matters
                    probe.stop()
