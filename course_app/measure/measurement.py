"""One app, one load: what its clients waited for, and what it cost."""

import math
from dataclasses import dataclass

import numpy as np

from course_app.load import Generator, LoadResult
from course_app.load.limits import MOST_SECONDS
from course_app.measure.answers import WrongAnswer, errors_of, together
from course_app.measure.noise import NoiseMeter, NoiseReport
from course_app.measure.notes import afterwards_note, generator_note
from course_app.measure.pace import paced
from course_app.measure.probes import Counts
from course_app.measure.probes.loop import UNRESPONSIVE_SECONDS
from course_app.measure.result import Result, a_second, figure
from course_app.measure.statistics import Floats, enough_for, shown
from course_app.measure.subject import (
    Progress,
    Subject,
    count,
    cpu_per_request_us,
    silent,
    warmup_seconds,
)

_PARTS = 8
_MEDIANS_PER_WINDOW = 2.5

#: Counts that a reader seldom asks for, by label, as long as they are not above these figures.
_UNREMARKABLE = {
    "max requests in flight": math.inf,
    "asyncio tasks / request": math.inf,
    "max loop lag, ms": 1e3 * UNRESPONSIVE_SECONDS,
    "threads": math.inf,
    "pool reset statements / request": math.inf,
    "PostgreSQL connections used": math.inf,
    "HTTP bytes received, B / request": math.inf,
}


@dataclass(frozen=True)
class Measurement(Result):
    """What one load on one app gave. Latencies are kept raw, so percentiles are exact.

    ``cpu_us_per_request`` is NaN where the system does not tell.
    """

    name: str
    workload: str
    load: LoadResult
    counts: Counts
    cpu_us_per_request: float
    noise: NoiseReport
    wrong: tuple[WrongAnswer, ...] = ()

    @property
    def columns(self) -> tuple[str, str]:
        """One column of figures."""
        return ("", self.name)

    @property
    def p50_ms(self) -> float:
        """Median latency in ms; under the open model from the intended start."""
        return self.load.percentile(50)

    @property
    def p99_ms(self) -> float:
        """99th percentile of latency in ms. Shown, never graded: short runs cannot hold it."""
        return self.load.percentile(99)

    @property
    def throughput(self) -> float:
        """Right answers per second."""
        return self.load.throughput

    @property
    def throughputs(self) -> Floats:
        """Requests per second in each of eight equal parts of the window; shape (8,).

        Parts much longer than a request are nearly independent of each other, so their spread
        bears an interval (batch means: Law, *Simulation Modeling and Analysis*, section 9.5).
        """
        part = self.load.window_seconds / _PARTS
        if not part:
            return np.zeros(_PARTS)
        ends = self.load.window_start_ns + 1e9 * part * np.arange(_PARTS + 1)
        # Whole answers: shares of them would make one part like its neighbours.
        answers = np.concatenate([self.load.end_ns, self.load.warmup_end_ns])
        return np.histogram(answers, ends)[0] / part

    @property
    def message(self) -> str:
        """Throughput and median in one sentence."""
        if self.wrong:
            return f"Answers were wrong. {self.wrong[0]}"
        model = _model(self.load)
        half = "" if math.isnan(self.p50_ms) else f", half of them within {figure(self.p50_ms)} ms"
        return (
            f"{self.name}: {a_second(self.throughput)} requests/s{half} ({self.workload}, {model})"
        )

    def rows(self) -> list[tuple[str, str]]:
        """Percentiles that there are enough requests for, costs, and counts that are not zero."""
        size = self.load.latency_ms.size
        points = [q for q in (50, 90, 99) if q == 50 or enough_for(q, size)]
        return [
            ("requests/s", a_second(self.throughput)),
            *((f"latency p{q}, ms", figure(self.load.percentile(q))) for q in points),
            ("latency max, ms", figure(self.load.percentile(100))),
            ("server CPU, µs / request", shown(self.cpu_us_per_request)),
            *self._counted(remarkable=True),
        ]

    def more_rows(self) -> list[tuple[str, str]]:
        """Counts that seldom answer a question."""
        return self._counted(remarkable=False)

    def _counted(self, *, remarkable: bool) -> list[tuple[str, str]]:
        figures = self.counts.to_dict()
        return [
            (label, text)
            for label, text in self.counts.as_text().items()
            if text != "0" and (figures[label] > _UNREMARKABLE.get(label, -1.0)) is remarkable
        ]

    def notes(self) -> list[str]:
        """Noise of the machine and load of the generator; errors first."""
        notes = [str(example) for example in self.wrong[1:]]
        notes += afterwards_note(self.name, self.counts, self.load.concurrency)
        if self.load.rate is not None:
            notes.append(f"Arrivals missed: {self.load.missed}, backlog: {self.load.max_backlog}.")
        return [*notes, str(self.noise), generator_note(self.load.generator_busy)]


def measure(
    generator: Generator,
    subject: Subject,
    *,
    seconds: float = 1.0,
    rate: float | None = None,
    progress: Progress = silent,
) -> Measurement:
    """Measure one subject: a counting pass, then one timed window.

    Args:
        seconds: length of the window; in the closed model longer to hold some slow answers.
        rate: arrivals per second (open model); without it the closed model of the
            subject's concurrency is used.
    """
    progress(f"{subject.name}: counting")
    counts, counted = count(generator, subject)
    progress(f"{subject.name}: measuring")
    meter = NoiseMeter(subject.thread_ids())
    meter.resume()
    before = subject.work()
    load = _window(generator, subject, paced(seconds), rate, counted)
    cpu_us = cpu_per_request_us(before, subject.work(), load.served)
    meter.pause()
    return Measurement(
        name=subject.name,
        workload=subject.target.workload.describe(),
        load=load,
        counts=counts,
        cpu_us_per_request=cpu_us,
        noise=meter.report(),
        wrong=together(errors_of(subject.name, counted) + errors_of(subject.name, load)),
    )


def _window(
    generator: Generator,
    subject: Subject,
    seconds: float,
    rate: float | None,
    counted: LoadResult,
) -> LoadResult:
    if rate is not None:
        return generator.open(subject.target, rate=rate, seconds=seconds)
    # Where an answer takes longer than a window, no request would come within one.
    median = float(np.nan_to_num(counted.percentile(50))) / 1e3
    return generator.closed(
        subject.target,
        seconds=min(max(seconds, _MEDIANS_PER_WINDOW * median), MOST_SECONDS),
        warmup_seconds=warmup_seconds(counted),
    )


def _model(load: LoadResult) -> str:
    if load.rate is not None:
        return f"{a_second(load.rate)} arrivals/s"
    return f"{load.concurrency} at a time"
