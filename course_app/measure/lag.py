"""What a few slow requests do to the event loop that everybody else shares.

Requests arrive one by one, far enough apart to be told from each other, while a probe notes
by how much each timer of the loop fires late.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from course_app.load import Generator
from course_app.measure.answers import WrongAnswer, errors_of, together
from course_app.measure.probes.loop import TICK_SECONDS, UNRESPONSIVE_SECONDS, LoopProbe
from course_app.measure.result import Result
from course_app.measure.statistics import Floats, Interval, geometric_mean
from course_app.measure.subject import Progress, Subject, require_in_time, silent
from course_app.serving import ThreadServer

_WARMUP_REQUESTS = 2
#: Timers are not exact enough to tell smaller stalls from none.
_LEAST_STALL_MS = 0.5


@dataclass(frozen=True)
class LagSeries:
    """One app's loop over time, in seconds since sampling began.

    ``due`` and ``late`` have shape (samples,): when a timer should have fired, and how much
    later it did. ``start`` and ``end`` have shape (requests,): the clients' stamps.
    """

    due: Floats
    late: Floats
    start: Floats
    end: Floats

    @property
    def stalls_ms(self) -> Floats:
        """For each request the greatest lag while it was under way, shape (requests,), ms."""
        return np.array([self._stall_ms(*span) for span in zip(self.start, self.end, strict=True)])

    @property
    def shares(self) -> Floats:
        """For each request its stall as a share of its time, shape (requests,), at most 1."""
        times_ms = 1e3 * (self.end - self.start)
        return np.minimum(1.0, np.maximum(self.stalls_ms, _LEAST_STALL_MS) / times_ms)

    @property
    def unresponsive(self) -> float:
        """Share of the time in which the loop was late by more than 10 ms."""
        late = self.late[self.late > UNRESPONSIVE_SECONDS].sum()
        return float(late / (self.due[-1] + self.late[-1] - self.due[0]))

    def _stall_ms(self, start: float, end: float) -> float:
        # A timer that was due just before may be the one that a blocking handler delayed.
        during = (self.due > start - TICK_SECONDS) & (self.due < end)
        return 1e3 * float(self.late[during].max(initial=0.0))


@dataclass(frozen=True)
class LoopLag(Result):
    """Event-loop lag of one or more apps while the same slow requests arrive."""

    series: Mapping[str, LagSeries]
    workload: str
    rate: float
    wrong: tuple[WrongAnswer, ...] = ()

    columns = ("app", "stall per request, ms", "greatest lag, ms", "loop unresponsive")

    def stall(self, name: str) -> Interval:
        """For how many ms a request of that app stalls the loop, with its 99 % interval.

        The geometric mean: a busy machine multiplies stalls, it does not add to them. A single
        request has no limits, and where none was answered nothing is known.
        """
        stalls_ms = np.maximum(self.series[name].stalls_ms, _LEAST_STALL_MS)
        found = geometric_mean(stalls_ms)
        return replace(found, low=max(found.low, _LEAST_STALL_MS))

    def share(self, name: str) -> Interval:
        """For which share of its time a request of that app stalls the loop, as above.

        A busy machine stretches both the stall and the request, so this hardly changes with it.
        """
        share = geometric_mean(self.series[name].shares)
        return Interval(share.estimate, share.low, min(1.0, share.high), share.confidence)

    @property
    def message(self) -> str:
        """The stall that a request of each app causes."""
        if self.wrong:
            return f"Answers were wrong. {self.wrong[0]}"
        stalls = (f"{name}: {self.stall(name):significant} ms" for name in self.series)
        return f"One request stalls the loop - {'; '.join(stalls)}"

    def rows(self) -> list[tuple[str, ...]]:
        """One row an app."""
        return [
            (
                name,
                f"{self.stall(name):significant}",
                f"{1e3 * series.late.max():.1f}",
                f"{series.unresponsive:.0%} of the time",
            )
            for name, series in self.series.items()
        ]

    def notes(self) -> Sequence[str]:
        """Wrong answers, then what was sent."""
        size = next(iter(self.series.values())).start.size
        sent = f"{size} times {self.workload}, {self.rate:g} a second; 99 % intervals."
        return [*(str(example) for example in self.wrong[1:]), sent]


def loop_lag(
    generator: Generator,
    subjects: Mapping[str, AbstractContextManager[Subject]],
    *,
    requests: int = 8,
    rate: float = 6.0,
    progress: Progress = silent,
) -> LoopLag:
    """Send each subject ``requests`` requests at ``rate`` a second and sample its loop.

    Args:
        subjects: opened one after another, so that no app disturbs another one's loop. Each
            must be served by a thread of this process.
    """
    series: dict[str, LagSeries] = {}
    wrong: list[WrongAnswer] = []
    for name, opening in subjects.items():
        progress(name)
        with opening as subject:
            series[name], errors = _sampled(generator, subject, requests, rate)
            workload = subject.target.workload.describe()
        wrong += errors
    return LoopLag(series, workload, rate, together(wrong))


def _sampled(
    generator: Generator, subject: Subject, requests: int, rate: float
) -> tuple[LagSeries, list[WrongAnswer]]:
    assert isinstance(subject.server, ThreadServer)
    require_in_time(subject.server, generator.closed(subject.target, requests=_WARMUP_REQUESTS))
    probe = LoopProbe(subject.server)
    probe.start()
    try:
        load = generator.open(subject.target, rate=rate, seconds=requests / rate)
    finally:
        probe.stop()
    first = float(probe.times_ns[0])
    return LagSeries(
        due=(probe.times_ns - first) / 1e9,
        late=probe.lags_seconds,
        start=np.asarray((load.start_ns - first) / 1e9, dtype=np.float64),
        end=np.asarray((load.end_ns - first) / 1e9, dtype=np.float64),
    ), errors_of(subject.name, load)
