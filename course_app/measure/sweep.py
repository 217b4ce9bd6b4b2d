"""One parameter changed step by step: where does an optimization begin to help, and stop?"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from course_app.load import Generator
from course_app.measure.answers import WrongAnswer, errors_of, together
from course_app.measure.compare import WINDOW_SECONDS
from course_app.measure.noise import NoiseMeter, NoiseReport
from course_app.measure.pace import paced
from course_app.measure.probes import Counts
from course_app.measure.result import Result
from course_app.measure.statistics import Interval, significant
from course_app.measure.subject import (
    Progress,
    Subject,
    cores_busy,
    count,
    cpu_per_request_us,
    require_in_time,
    silent,
    warmup_seconds,
)
from course_app.words import amount

UNITS = {"throughput": "requests/s", "p50": "ms", "p99": "ms", "cpu": "µs CPU / request"}


@dataclass(frozen=True)
class Point:
    """What one step gave: one value per metric and window, each of shape (windows,)."""

    value: float
    windows: Mapping[str, tuple[float, ...]]
    counts: Counts | None = None

    def middle(self, metric: str) -> float:
        """The median window."""
        return float(np.median(self.windows[metric]))  # NaN if one of them is not known

    def span(self, metric: str) -> tuple[float, float]:
        """The lowest and the highest window: with three windows, an honest error bar."""
        return float(np.min(self.windows[metric])), float(np.max(self.windows[metric]))


@dataclass(frozen=True)
class Sweep(Result):
    """One line per series over the values of a parameter."""

    parameter: str
    metric: str
    series: Mapping[str, tuple[Point, ...]]
    workload: str
    noise: NoiseReport
    wrong: tuple[WrongAnswer, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """One column a series."""
        return (self.parameter, *(f"{name}, {UNITS[self.metric]}" for name in self.series))

    @property
    def values(self) -> tuple[float, ...]:
        """The parameter's values."""
        return tuple(point.value for point in next(iter(self.series.values())))

    @property
    def windows(self) -> int:
        """How many windows each point has; where that differs, the fewest."""
        return min(len(points[0].windows[self.metric]) for points in self.series.values())

    @property
    def confidence(self) -> float:
        """With which the windows' limits hold a ratio of two points."""
        return _confidence(self.windows, self.windows)

    def at(self, name: str, value: float) -> Point:
        """The point of a series at one value of the parameter.

        Raises:
            KeyError: that value was not measured.
        """
        for point in self.series[name]:
            if point.value == value:
                return point
        raise KeyError(f"{self.parameter} {value} was not measured: {self.values}")

    def best(self, name: str) -> Point:
        """The point with the most throughput, or the least time or CPU."""
        choose = max if self.metric == "throughput" else min
        known = [p for p in self.series[name] if not math.isnan(p.middle(self.metric))]
        return choose(known or self.series[name], key=lambda point: point.middle(self.metric))

    def growth(self, name: str, start: float, end: float, metric: str | None = None) -> Interval:
        """By what factor a series changes between two values of the parameter.

        The limits are those of the windows: the lowest at one end against the highest at the
        other. If both ends are equally noisy, they hold the truth unless all windows of one
        end lie beyond all of the other, as in the rank test of Mann and Whitney: with 90 %
        for three windows an end, with 67 % for two.
        """
        return _factor(self.at(name, start), self.at(name, end), metric or self.metric)

    def ratio(self, name: str, over: str, value: float, metric: str | None = None) -> Interval:
        """How many times as much one series is as another, at one value; limits as above."""
        return _factor(self.at(over, value), self.at(name, value), metric or self.metric)

    @property
    def message(self) -> str:
        """Where each series is best."""
        if self.wrong:
            return f"Answers were wrong in this sweep. {self.wrong[0]}"
        return "; ".join(self._best_of(name) for name in self.series)

    def _best_of(self, name: str) -> str:
        """The best value of a series, if all of its windows are better than those of any other."""
        best = self.best(name)
        low, high = best.span(self.metric)
        others = [p.span(self.metric) for p in self.series[name] if p is not best]
        if self.metric == "throughput":
            ahead = all(low > other for _, other in others)
        else:
            ahead = all(high < other for other, _ in others)
        if self.windows == 1 or not others or not ahead:
            return f"{name}: the windows do not tell where it is best"
        middle, *limits = (significant(x, 3) for x in (best.middle(self.metric), low, high))
        figure = f"{middle} [{', '.join(limits)}] {UNITS[self.metric]}"
        return f"{name}: best at {self.parameter} {best.value:g}, {figure}"

    def rows(self) -> list[tuple[str, ...]]:
        """One row a value, one column a series: median [lowest, highest]."""
        return [
            (f"{value:g}", *(self._cell(points[i]) for points in self.series.values()))
            for i, value in enumerate(self.values)
        ]

    def notes(self) -> list[str]:
        """Errors, then the noise."""
        sure = f"; ratios of them hold with {min(self.confidence, 0.99):.0%}"
        if self.windows == 1:
            sure = ", so ratios have no interval"
        counted = amount(self.windows, "window")
        ranges = f"Medians of {counted} [lowest, highest]{sure}; {self.workload}."
        return [*(str(example) for example in self.wrong[1:]), ranges, str(self.noise)]

    def _cell(self, point: Point) -> str:
        low, high = (significant(v, 3) for v in point.span(self.metric))
        return f"{significant(point.middle(self.metric), 3)} [{low}, {high}]"


def _factor(first: Point, last: Point, metric: str) -> Interval:
    lowest, highest = first.span(metric)
    low, high = last.span(metric)
    middle = _over(last.middle(metric), first.middle(metric))
    ends = len(first.windows[metric]), len(last.windows[metric])
    return Interval(middle, _over(low, highest), _over(high, lowest), _confidence(*ends))


def _confidence(first: int, last: int) -> float:
    """Of how many orders of so many windows none has all of one end beyond the other's."""
    return 1 - 2 / math.comb(first + last, first)


def _over(figure: float, base: float) -> float:
    """A ratio; a window in which the machine let nothing happen leaves it without a limit."""
    return figure / base if base else math.inf


#: Opens the subject for one value of the parameter and closes it again.
Opener = Callable[[float], AbstractContextManager[Subject]]


def sweep(
    generator: Generator,
    series: Mapping[str, Opener],
    *,
    parameter: str,
    values: Sequence[float],
    metric: str = "throughput",
    windows: int = 3,
    rounds: int | None = None,
    count_causes: bool = False,
    progress: Progress = silent,
) -> Sweep:
    """Measure each series at each value: every point gets ``windows`` windows.

    The values are gone through once per window and in turning directions, so that a busy
    moment of the machine widens a few points' spans instead of bending the curve.

    Args:
        series: per name, a function that opens a subject for a value; it is closed after
            each visit, so that servers of different values never run at the same time.
        rounds: requests per connection in a window, instead of seconds: for an app whose
            requests wait so long in a queue that windows of several rounds would take minutes.
        count_causes: also make a counting pass per point, in the first visit.
    """
    found: dict[str, dict[float, list[Mapping[str, float]]]] = {
        name: {value: [] for value in values} for name in series
    }
    counts: dict[tuple[str, float], Counts] = {}
    wrong: list[WrongAnswer] = []
    workloads: dict[str, None] = {}
    meter = NoiseMeter()
    meter.resume()
    for visit, value, name in _itinerary(windows, values, list(series)):
        progress(f"{parameter} {value:g}, {name}: window {visit + 1} of {windows}")
        with series[name](value) as subject:
            workloads[subject.target.workload.describe()] = None
            if count_causes and visit == 0:
                counts[name, value], load = count(generator, subject)
                wrong += errors_of(name, load)
            figures, errors = _window(generator, subject, paced(WINDOW_SECONDS), rounds)
            found[name][value].append(figures)
            wrong += errors
    meter.pause()
    return Sweep(
        parameter=parameter,
        metric=metric,
        series={
            name: tuple(_point(v, found[name][v], counts.get((name, v))) for v in values)
            for name in series
        },
        workload=", ".join(workloads),
        noise=meter.report(),
        wrong=together(wrong),
    )


def _itinerary(
    windows: int, values: Sequence[float], names: Sequence[str]
) -> Iterator[tuple[int, float, str]]:
    for visit in range(windows):
        for value in values if visit % 2 == 0 else reversed(values):
            for name in names:
                yield visit, value, name


def _window(
    generator: Generator, subject: Subject, seconds: float, rounds: int | None
) -> tuple[Mapping[str, float], list[WrongAnswer]]:
    # One round of requests opens pools and shows how long a window has to be.
    first = 1 if rounds else subject.concurrency
    warm = require_in_time(subject.server, generator.closed(subject.target, requests=first))
    before, began = subject.work(), time.monotonic()
    if rounds:
        load = generator.closed(subject.target, requests=rounds * subject.concurrency)
    else:
        median = warm.percentile(50) / 1e3
        load = generator.closed(
            subject.target,
            seconds=max(seconds, 2.5 * median),
            warmup_seconds=warmup_seconds(warm),
        )
    after, seconds = subject.work(), time.monotonic() - began
    figures = {
        "throughput": load.throughput,
        "p50": load.percentile(50),
        "p99": load.percentile(99),
        "cpu": cpu_per_request_us(before, after, load.served),
        "cores": cores_busy(before, after, seconds),
    }
    return figures, errors_of(subject.name, warm) + errors_of(subject.name, load)


def _point(value: float, figures: Sequence[Mapping[str, float]], counts: Counts | None) -> Point:
    metrics = figures[0].keys()
    return Point(value, {m: tuple(f[m] for f in figures) for m in metrics}, counts)
