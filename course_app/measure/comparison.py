"""Two or more apps under the same load, in turns: which is faster, and how sure is that?

Single before/after runs on a shared machine are wrong in a tenth to a third of all cases.
Here short windows (or single requests) alternate, A B B A, and every pair gives one ratio.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from course_app.measure.answers import WrongAnswer
from course_app.measure.noise import NoiseReport
from course_app.measure.notes import afterwards_note, generator_note
from course_app.measure.probes import Counts
from course_app.measure.probes.loop import UNRESPONSIVE_SECONDS
from course_app.measure.result import Result, a_second, figure
from course_app.measure.statistics import (
    WORTH_A_CHANGE,
    Floats,
    Interval,
    Verdict,
    enough_for,
    shown,
    speedup_interval,
)

METRICS = ("p50", "throughput", "cpu")
#: Counts tell of a cause if the highest is so many times the lowest, and by so much above it.
_TELLING_RATIO = 1.25
_TELLING_BY = {"max loop lag, ms": 1e3 * UNRESPONSIVE_SECONDS, "threads": 2.0}
_TELLING_BY_USUALLY = 0.05
_METRIC_NAMES = {"p50": "median latency", "throughput": "throughput", "cpu": "CPU per request"}


@dataclass(frozen=True)
class Variant:
    """One side of a comparison. ``rounds`` holds, per metric, one value a round, shape (rounds,).

    Units: ``p50`` in ms, ``throughput`` in requests/s, ``cpu`` in µs per request (NaN where the
    system does not tell).
    """

    name: str
    rounds: Mapping[str, Floats]
    latencies_ms: Floats
    counts: Counts

    def middle(self, metric: str) -> float:
        """The median over the rounds."""
        values = self.rounds[metric][~np.isnan(self.rounds[metric])]
        return float(np.median(values)) if values.size else float("nan")

    def interval(self, metric: str) -> Interval:
        """The typical round with its 99 % interval, in the metric's unit."""
        return speedup_interval(np.log(self.rounds[metric]))

    def percentile(self, q: float) -> float:
        """Latency percentile over all windows, in ms."""
        return (
            float(np.percentile(self.latencies_ms, q)) if self.latencies_ms.size else float("nan")
        )


@dataclass(frozen=True)
class Comparison(Result):
    """Variants against the first of them, the baseline.

    A comparison in which any side answered wrongly has no speed-up: ``wrong`` says what was
    wrong, and :meth:`speedup` raises.
    """

    workload: str
    concurrency: int
    metric: str
    protocol: str
    variants: tuple[Variant, ...]
    noise: NoiseReport
    generator_busy: float
    wrong: tuple[WrongAnswer, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """One column a variant."""
        return ("", *(variant.name for variant in self.variants))

    @property
    def baseline(self) -> Variant:
        """What the others are compared with."""
        return self.variants[0]

    def __getitem__(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            KeyError: there is none; the message lists the names.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(f"{name!r}: the variants are {[v.name for v in self.variants]}")

    def log_ratios(self, name: str | None = None, metric: str | None = None) -> Floats:
        """Paired ``log(speed-up)`` of a variant over the baseline, shape (rounds,)."""
        metric = metric or self.metric
        variant = self[name] if name else self.variants[-1]
        logs = np.log(self.baseline.rounds[metric]) - np.log(variant.rounds[metric])
        return np.asarray(-logs if metric == "throughput" else logs)

    def speedup(self, name: str | None = None, metric: str | None = None) -> Interval:
        """How many times as fast as the baseline, with its 99 % interval.

        Args:
            name: the variant; the last one if not given.
            metric: ``p50``, ``throughput`` or ``cpu``; the comparison's own if not given.

        Raises:
            ValueError: a side answered wrongly, so there is nothing to compare.
        """
        if self.wrong:
            raise ValueError(f"No speed-up: answers were wrong. {self.wrong[0]}")
        return speedup_interval(self.log_ratios(name, metric))

    def verdict(
        self, name: str | None = None, at_least: float = WORTH_A_CHANGE, metric: str | None = None
    ) -> Verdict:
        """Is the variant at least that many times as fast? Faster, not faster or cannot tell."""
        if self.wrong:
            return Verdict.CANNOT_TELL
        return self.speedup(name, metric).verdict(at_least)

    def faster(
        self, name: str | None = None, at_least: float = WORTH_A_CHANGE, metric: str | None = None
    ) -> bool | None:
        """The verdict as an answer to a yes-or-no question; None where it cannot tell."""
        return None if self.wrong else self.speedup(name, metric).above(at_least)

    @property
    def message(self) -> str:
        """The verdict on each variant in one sentence."""
        if self.wrong:
            return f"No comparison: answers were wrong. {self.wrong[0]}"
        said = [self._said(variant) for variant in self.variants[1:]]
        return f"{'; '.join(said)} ({_METRIC_NAMES[self.metric]}, {self.concurrency} at a time)"

    def rows(self) -> list[tuple[str, ...]]:
        """Speed-ups first, then times and costs, then the counts that differ: perhaps the cause."""
        return [*self._timing_rows(), *self._counted(differing=True)]

    def more_rows(self) -> list[tuple[str, ...]]:
        """p99 if there are enough requests, and counts that differ little and are not zero."""
        p99 = [
            f"{v.percentile(99):.2f}" if enough_for(99, v.latencies_ms.size) else "too few requests"
            for v in self.variants
        ]
        known = any(enough_for(99, v.latencies_ms.size) for v in self.variants)
        return [*([("p99, ms", *p99)] if known else []), *self._counted(differing=False)]

    def notes(self) -> list[str]:
        """Further errors, or how many rounds, the noise and the generator's load."""
        if self.wrong:
            return [str(example) for example in self.wrong[1:]]
        rounds = self.baseline.rounds[self.metric].size
        way = "windows" if self.protocol == "windows" else "blocks of single requests"
        return [
            f"{rounds} rounds of {way} in turns; 99 % intervals of ratios within rounds.",
            *(x for v in self.variants for x in self._afterwards(v)),
            str(self.noise),
            generator_note(self.generator_busy),
        ]

    def _timing_rows(self) -> list[tuple[str, ...]]:
        def row(label: str, cells: list[str]) -> tuple[str, ...]:
            return (label, *cells)

        others = self.variants[1:]
        speedups = ["1"] + [str(self.speedup(v.name)) if not self.wrong else "-" for v in others]
        return [
            row(f"times as fast ({_METRIC_NAMES[self.metric]})", speedups),
            row("p50, ms", [figure(v.middle("p50")) for v in self.variants]),
            row("requests/s", [a_second(v.middle("throughput")) for v in self.variants]),
            row("server CPU, µs / request", [shown(v.middle("cpu")) for v in self.variants]),
        ]

    def _counted(self, *, differing: bool) -> list[tuple[str, ...]]:
        """The counts that differ between variants, or those that do not, if they are not zero."""
        texts = [variant.counts.as_text() for variant in self.variants]
        figures = [variant.counts.to_dict() for variant in self.variants]
        labels = dict.fromkeys(label for text in texts for label in text)
        rows: list[tuple[str, ...]] = []
        for label in labels:
            cells = [text.get(label, "") for text in texts]
            differ = _differ(label, [float(each.get(label, 0.0)) for each in figures])
            if differ is differing and not set(cells) <= {"", "0"}:
                rows.append((label, *cells))
        return rows

    def _afterwards(self, variant: Variant) -> list[str]:
        return afterwards_note(variant.name, variant.counts, self.concurrency)

    def _said(self, variant: Variant) -> str:
        return self.speedup(variant.name).in_words(variant.name, self.baseline.name)


def _differ(label: str, values: Sequence[float]) -> bool:
    low, high = min(values), max(values)
    return high > _TELLING_RATIO * low and high - low > _TELLING_BY.get(label, _TELLING_BY_USUALLY)
