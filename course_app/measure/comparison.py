"""Two or more apps under the same load, in turns: which is faster, and how sure is that?

Single before/after runs on a shared machine are wrong in a tenth to a third of all cases.
Here short windows (or single requests) alternate, A B B A, and every pair gives one ratio.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_app.measure.answers import WrongAnswer
from course_app.measure.noise import NoiseReport
from course_app.measure.notes import generator_note
from course_app.measure.probes import Counts
from course_app.measure.result import Result
from course_app.measure.statistics import (
    WORTH_A_CHANGE,
    Floats,
    Interval,
    Verdict,
    shown,
    speedup_interval,
)

METRICS = ("p50", "throughput", "cpu")
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
        """How many times faster than the baseline, with its 99 % interval.

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
        """Is the variant at least that many times faster? Faster, not faster or cannot tell."""
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
        """Speed-ups first, then times and costs, then counts that are not zero everywhere."""
        counts = [variant.counts.as_text() for variant in self.variants]
        labels = dict.fromkeys(label for texts in counts for label in texts)
        counted = [(label, *(texts.get(label, "") for texts in counts)) for label in labels]
        return [
            *self._timing_rows(),
            *(row for row in counted if any(cell not in ("", "0") for cell in row[1:])),
        ]

    def notes(self) -> list[str]:
        """Errors first, then how many rounds, the noise and the generator's load."""
        rounds = self.baseline.rounds[self.metric].size
        way = "windows" if self.protocol == "windows" else "blocks of single requests"
        return [
            *(str(example) for example in self.wrong),
            f"{rounds} rounds of {way} in turns; 99 % intervals.",
            str(self.noise),
            generator_note(self.generator_busy),
        ]

    def to_dict(self) -> Mapping[str, Any]:
        """All figures, with units in their names."""
        return {
            "type": "comparison",
            "workload": self.workload,
            "concurrency": self.concurrency,
            "metric": self.metric,
            "protocol": self.protocol,
            "variants": [self._variant_dict(variant) for variant in self.variants],
            "noise": self.noise.to_dict(),
            "generator_busy": self.generator_busy,
            "wrong": [example.to_dict() for example in self.wrong],
        }

    def _timing_rows(self) -> list[tuple[str, ...]]:
        def row(label: str, cells: list[str]) -> tuple[str, ...]:
            return (label, *cells)

        others = self.variants[1:]
        speedups = ["1"] + [str(self.speedup(v.name)) if not self.wrong else "-" for v in others]
        return [
            row(f"times faster ({_METRIC_NAMES[self.metric]})", speedups),
            row("p50, ms", [f"{v.middle('p50'):.2f}" for v in self.variants]),
            row("p99, ms", [f"{v.percentile(99):.2f}" for v in self.variants]),
            row("requests/s", [f"{v.middle('throughput'):,.0f}" for v in self.variants]),
            row("server CPU, µs / request", [shown(v.middle("cpu")) for v in self.variants]),
        ]

    def _said(self, variant: Variant) -> str:
        speedup, other = self.speedup(variant.name), self.baseline.name
        if speedup.verdict() is Verdict.FASTER:
            return f"{variant.name} is {speedup} faster than {other}"
        if speedup.high < 1 / WORTH_A_CHANGE:
            return f"{variant.name} is slower than {other}: {speedup}"
        if speedup.verdict() is Verdict.NOT_FASTER:
            return f"{variant.name} is not faster than {other}: {speedup}"
        return f"cannot tell whether {variant.name} is faster than {other}: {speedup}"

    def _variant_dict(self, variant: Variant) -> dict[str, Any]:
        speedup = None
        if not self.wrong and variant is not self.baseline:
            speedup = self.speedup(variant.name).to_dict()
        return {
            "name": variant.name,
            "speedup": speedup,
            "p50_ms": variant.middle("p50"),
            "p99_ms": variant.percentile(99),
            "throughput": variant.middle("throughput"),
            "cpu_us_per_request": variant.middle("cpu"),
            "counts": variant.counts.to_dict(),
        }
