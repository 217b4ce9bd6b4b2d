"""What becomes of visitors who wait only so long: goodput, the answers that were still of use."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_app.load import NEVER, Generator, Retries, Target, Visits
from course_app.load.visits import LOST, TIMED_OUT, UNSENT
from course_app.measure.answers import WrongAnswer, together
from course_app.measure.noise import NoiseMeter, NoiseReport
from course_app.measure.notes import generator_note
from course_app.measure.pace import paced
from course_app.measure.probes.asgi import ASGIApp, Receive, Scope, Send
from course_app.measure.result import Result
from course_app.measure.statistics import CONFIDENCE, Floats, Interval, mean_interval
from course_app.serving import ProcessServer, ThreadServer

#: Seconds, and visitors per second.
Phases = Sequence[tuple[float, float]]

#: Long enough for a handful of visitors, short enough for a handful of slots in a window.
_SLOT_SECONDS = 0.1
#: Of fewer there is no interval; what came in all of them is counted then.
_FEWEST_SLOTS = 2
#: A steady load is looked at without its first moments, in which queues are still short.
_SETTLING_SHARE = 0.3
_BUSY = 503
#: What became of a visitor without a right answer, by the status of the last attempt.
_FATES = {
    _BUSY: "turned away with 503",
    TIMED_OUT: "hung up",
    LOST: "connection lost or refused",
    UNSENT: "not sent: no connection left",
}


class Door:
    """Wraps an app; once ``closed`` whoever still waits is sent away, so that its server can stop.

    ``entered`` counts the requests that reached the app: also those nobody waits for any more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.closed = False
        self.entered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self.closed:
                await send({"type": "http.response.start", "status": _BUSY, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            self.entered += 1
        await self._app(scope, receive, send)


@dataclass(frozen=True)
class Visitors(Result):
    """Visitors by phases of (seconds, visitors per second), and what became of each.

    Attributes:
        limit_ms: an answer counts as good if it came within so many ms of the arrival, or of the
            attempt, if the visitor tries again.
        entered: requests that reached the app, where that is known.
    """

    name: str
    workload: str
    phases: Phases
    limit_ms: float
    visits: Visits
    noise: NoiseReport
    entered: int | None = None
    wrong: tuple[WrongAnswer, ...] = ()

    columns = ("visitors", "share", "each second")

    @property
    def seconds(self) -> float:
        """How long visitors arrived."""
        return sum(seconds for seconds, _ in self.phases)

    @property
    def offered(self) -> float:
        """Visitors per second, on average."""
        return self.visits.visitors / self.seconds

    @property
    def served_in_time(self) -> np.ndarray:
        """For each attempt, in the order of their ends, whether it brought a good answer."""
        visits = self.visits
        return visits.right & (visits.end_ns - visits.due_ns <= 1e6 * self.limit_ms)

    @property
    def goodput(self) -> Interval:
        """Good answers per second under a steady load, over its tenths of a second, 99 %.

        Of a load that is over in some tenths of a second all are counted at once.
        """
        return self._per_second(self.served_in_time)

    @property
    def throughput(self) -> Interval:
        """Right answers per second, in time or not."""
        return self._per_second(self.visits.right)

    @property
    def mean_ms(self) -> float:
        """Mean time from arrival to right answer, in ms."""
        return float(np.nanmean(self.visits.waited_ms))

    def over_time(self, step_seconds: float = 0.25) -> Mapping[str, tuple[Floats, Floats]]:
        """Visitors, attempts and good answers per second, each by the beginnings of whole steps."""
        visits = self.visits
        first = visits.attempt == 0
        found = {
            "visitors": visits.due_ns[first],
            "attempts": visits.start_ns,
            "good answers": visits.end_ns[self.served_in_time],
        }
        steps = int(self.seconds / step_seconds + 1e-9)
        edges = np.linspace(0.0, steps * step_seconds, steps + 1)
        return {
            what: (edges[:-1], np.histogram(self._since(at), edges)[0] / step_seconds)
            for what, at in found.items()
        }

    def good_between(self, begin: float, end: float) -> int:
        """Good answers between two moments, in seconds since the first phase began."""
        return self._between(self.visits.end_ns[self.served_in_time], begin, end)

    def arrived_between(self, begin: float, end: float) -> int:
        """Visitors who came between two moments."""
        return self._between(self.visits.due_ns[self.visits.attempt == 0], begin, end)

    def _between(self, at_ns: Any, begin: float, end: float) -> int:
        at = self._since(at_ns)
        return int(((at >= begin) & (at < end)).sum())

    @property
    def message(self) -> str:
        """Of how many visitors how many were served in time."""
        good = int(self.served_in_time.sum())
        return (
            f"{self.name}: of {self.visits.visitors:,} visitors {good:,} had their answer "
            f"within {self.limit_ms:g} ms"
        )

    @property
    def fates(self) -> Mapping[str, int]:
        """How many visitors were answered in time, too late or wrongly, or not at all, and why."""
        visits = self.visits
        # Attempts stand in the order of their ends: the last one of a visitor is its fate.
        status = dict(zip(visits.visitor.tolist(), visits.status.tolist(), strict=True))
        good = set(visits.visitor[self.served_in_time].tolist())
        late = set(visits.visitor[visits.right].tolist()) - good
        others = Counter(how for who, how in status.items() if who not in good | late)
        counts = {"answered in time": len(good), "answered too late": len(late)}
        counts |= {what: others.pop(how, 0) for how, what in _FATES.items()}
        counts |= {f"answered wrongly, with {how}": others[how] for how in sorted(others)}
        return {what: count for what, count in counts.items() if count}

    def rows(self) -> list[tuple[str, str, str]]:
        """What became of the visitors, and how many attempts they made."""
        visits, fates = self.visits, self.fates
        rows = [*fates.items(), ("attempts", visits.visitor.size)]
        if self.entered is not None:
            rows.append(("requests in the app", self.entered))
        # Attempts and work go on when the last visitor has come: a rate would be of what time?
        return [
            (
                what,
                f"{count / max(visits.visitors, 1):.0%}",
                f"{count / self.seconds:,.0f}" if what in fates else "",
            )
            for what, count in rows
        ]

    def notes(self) -> list[str]:
        """Lost connections, the noise of the machine and the generator's load."""
        lost = [str(each) for each in self.wrong]
        return [*lost, str(self.noise), generator_note(self.visits.generator_busy)]

    def _since(self, at_ns: Any) -> Floats:
        return np.asarray((at_ns - self.visits.window_start_ns) / 1e9, dtype=np.float64)

    def _per_second(self, which: np.ndarray) -> Interval:
        settled = _SETTLING_SHARE * self.seconds
        edges = np.arange(settled, self.seconds + 1e-9, _SLOT_SECONDS)
        if edges.size - 1 < _FEWEST_SLOTS:
            edges = np.array([settled, self.seconds])
        counts = np.histogram(self._since(self.visits.end_ns[which]), edges)[0]
        seconds = float(edges[-1] - edges[0])
        if counts.size == 1 or not np.median(counts):
            # A trimmed mean would leave out the few that came.
            return _counted(int(counts.sum()), seconds)
        found = mean_interval(counts / _SLOT_SECONDS)
        # Counts that are all alike know no better than by the one that was just missed.
        low = min(found.low, found.estimate - 1 / seconds)
        return Interval(
            found.estimate, max(0.0, low), max(found.high, found.estimate + 1 / seconds)
        )


def _counted(number: int, seconds: float) -> Interval:
    """The rate behind so many events, with the exact limits of a Poisson count (Garwood, 1936)."""
    from scipy.special import gammaincinv

    beyond = (1 - CONFIDENCE) / 2
    low = float(gammaincinv(number, beyond)) if number else 0.0
    high = float(gammaincinv(number + 1, 1 - beyond))
    return Interval(number / seconds, low / seconds, high / seconds)


def visitors(
    generator: Generator,
    target: Target,
    server: ThreadServer | ProcessServer,
    *,
    name: str,
    phases: Phases,
    limit_ms: float,
    retries: Retries = NEVER,
    seed: int | None = 1,
    door: Door | None = None,
) -> Visitors:
    """Let visitors come to a server, by phases, and see what becomes of them.

    Args:
        target: its time-out is the visitors' patience.
        door: around the server's app: closed afterwards, so that no backlog is worked off.
    """
    phases = [(paced(seconds), rate) for seconds, rate in phases]
    thread = (server.native_id,) if isinstance(server, ThreadServer) else ()
    meter = NoiseMeter(thread)
    meter.resume()
    visits = generator.visit(target, phases=phases, seed=seed, retries=retries)
    meter.pause()
    if door is not None:
        door.closed = True
    lost = [
        WrongAnswer(name, e.request_line, e.expected, e.got, e.count)
        for e in visits.errors
        if e.kind not in ("timeout", "status")
    ]
    return Visitors(
        name=name,
        workload=target.workload.describe(),
        phases=phases,
        limit_ms=limit_ms,
        visits=visits,
        noise=meter.report(),
        entered=None if door is None else door.entered,
        wrong=together(lost),
    )
