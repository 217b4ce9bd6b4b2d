"""A comparison as bars: how many times as fast, how sure, and what caused it.

Factors that are far apart need a logarithmic axis. The length of a bar means nothing there, so that
they become dots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from course_app.measure.comparison import Comparison
from course_app.measure.prediction import Prediction
from course_app.measure.statistics import NOT_KNOWN, Interval, Verdict, significant
from course_app.plots import rows
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.labels import make_room
from course_app.plots.style import (
    GRID,
    MUTED,
    linear_ticks,
    log_ticks,
    only_grid,
    styled,
    ticks_up_to,
)

#: Beyond this factor between bars, short ones vanish on a linear axis.
_LOG_FROM = 12.0
_COUNTERS = 2
#: A count says something about the cause if it differs by more than this share.
_TELLING = 0.1
_EACH = " / request"

#: A factor or the learner's prediction for the last variant, or factors by variant's name.
Predicted = float | Prediction | Mapping[str, float | Prediction] | None


_SPEED_UPS = {
    "p50": "times as fast",
    "throughput": "times the throughput of",
    "cpu": "times as fast by CPU",
}


@dataclass(frozen=True)
class Bar:
    """One bar: a factor, its interval where there is one, a prediction, and what was counted."""

    name: str
    factor: float
    interval: Interval | None = None
    predicted: float | None = None
    below: str = ""


def plot_comparison(
    result: Comparison,
    *,
    title: str | None = None,
    metric: str | None = None,
    predicted: Predicted = None,
    counters: int | Sequence[str] = _COUNTERS,
) -> Figure:
    """Speed-ups of a comparison as bars with 99 % intervals; the baseline is 1.

    Args:
        title: the message; the comparison's own if not given.
        metric: ``p50``, ``throughput`` or ``cpu``; the comparison's own if not given.
        predicted: the factor that was expected of the last variant, or of each by name.
        counters: how many counted causes to write below the bars, or their labels.
    """
    message = title or _message(result, metric)
    if result.wrong:
        return plot_bars([Bar(v.name, float("nan")) for v in result.variants], title=message)
    expected = _predictions(result, predicted)
    labels = _labels(result, counters)
    bars = [Bar(result.baseline.name, 1.0, None, None, _below(result, 0, labels))]
    for i, variant in enumerate(result.variants[1:], start=1):
        interval = result.speedup(variant.name, metric)
        wanted = expected.get(variant.name)
        bars.append(
            Bar(variant.name, interval.estimate, interval, wanted, _below(result, i, labels))
        )
    return plot_bars(bars, title=message, unit=_SPEED_UPS[metric or result.metric])


def plot_bars(bars: Sequence[Bar], *, title: str, unit: str = "times as fast") -> Figure:
    """Factors as horizontal bars; the first is what the others are compared with."""
    # The limits of a factor that nobody knows hold everything: they would set the scale.
    bars = [bar if np.isfinite(bar.factor) else replace(bar, interval=None) for bar in bars]
    with styled():
        canvas = titled(title)
        axes = canvas.add_subplot()
        low, high = _range(bars)
        logarithmic = high / low > _LOG_FROM
        if logarithmic:
            axes.set_xscale("log")
        texts = [_draw(axes, row, bar, logarithmic) for row, bar in enumerate(bars)]
        _finish_axes(axes, bars, low, high, logarithmic)
        remarks = ["log scale"] if logarithmic else []
        remarks += ["99 % intervals"] if any(bar.interval for bar in bars) else []
        remark = f" ({', '.join(remarks)})" if remarks else ""
        joined = unit if unit.endswith(" of") else f"{unit} as"
        axes.set_xlabel(f"{joined} {bars[0].name}{remark}")
        make_room(axes, texts)
        ticks_up_to(axes.xaxis, 1.05 * high)
        return finish(canvas, title)


def _draw(axes: Axes, row: int, bar: Bar, logarithmic: bool) -> Annotation:
    predicted = f"◇ predicted {significant(bar.predicted)}x" if bar.predicted is not None else ""
    if bar.below or predicted:
        rows.under(axes, row, rows.SEPARATOR.join(filter(None, [predicted, bar.below])))
    if not np.isfinite(bar.factor):
        return rows.value(axes, row, 1.0 if logarithmic else 0.0, "no speed-up")
    ends = [bar.factor]
    if bar.interval is not None:
        ends += [bar.interval.low, bar.interval.high]
    if bar.predicted is not None:
        start = bar.factor if logarithmic else min(max(ends), bar.predicted)
        rows.prediction(axes, row, start, bar.predicted)
        ends.append(bar.predicted)
    (rows.dot if logarithmic else rows.bar)(axes, row, bar.factor, bar.interval)
    text = str(bar.interval) if bar.interval is not None else f"{significant(bar.factor)}x"
    return rows.value(axes, row, max(ends), "1 (baseline)" if row == 0 else text)


def _finish_axes(
    axes: Axes, bars: Sequence[Bar], low: float, high: float, logarithmic: bool
) -> None:
    axes.axvline(1.0, color=MUTED, linewidth=1.4 if logarithmic else 1.0, zorder=0.5)
    rows.named(axes, [bar.name for bar in bars])
    only_grid(axes, "x")
    if logarithmic:
        axes.set_xlim(low / 1.25, high)
        log_ticks(axes.xaxis, low, high)
    else:
        axes.set_xlim(0, high)
        linear_ticks(axes.xaxis)
    axes.grid(True, axis="x", color=GRID)


def _range(bars: Sequence[Bar]) -> tuple[float, float]:
    values = [1.0]
    for bar in bars:
        limits = (bar.interval.low, bar.interval.high) if bar.interval else ()
        values += [v for v in (bar.factor, bar.predicted, *limits) if v and np.isfinite(v)]
    return min(values), max(values)


def _message(result: Comparison, metric: str | None) -> str:
    """The verdict on the only other variant, or on the fastest of several."""
    if result.wrong:
        return result.message
    others = result.variants[1:]
    best = max(others, key=lambda variant: result.speedup(variant.name, metric).estimate)
    speedup, base = result.speedup(best.name, metric), result.baseline.name
    verdicts = {result.speedup(variant.name, metric).verdict() for variant in others}
    if len(others) > 1 and verdicts == {Verdict.NOT_FASTER}:
        much = "much " if speedup.low > 1 else ""
        return f"None of these is {much}faster than {base}; the best is {best.name}: {speedup}"
    words = speedup.in_words(best.name, base)
    return words[0].upper() + words[1:] if words.startswith("cannot tell") else words


def _predictions(result: Comparison, predicted: Predicted) -> Mapping[str, float]:
    if not isinstance(predicted, Mapping):
        predicted = {} if predicted is None else {result.variants[-1].name: predicted}
    numbers = {
        name: each.value if isinstance(each, Prediction) else each
        for name, each in predicted.items()
    }
    return {name: number for name, number in numbers.items() if number is not None}


def _labels(result: Comparison, counters: int | Sequence[str]) -> list[str]:
    """The counts that differ most between the variants: the likely causes."""
    if not isinstance(counters, int):
        return list(counters)
    figures = [variant.counts.to_dict() for variant in result.variants]
    labels = dict.fromkeys(label for counts in figures for label in counts)

    def difference(label: str) -> float:
        values = [float(counts.get(label, 0.0)) for counts in figures]
        return (max(values) - min(values)) / (max(values) + 0.1)

    telling = [label for label in labels if difference(label) > _TELLING]
    return sorted(telling, key=difference, reverse=True)[:counters]


def _figure(label: str, text: str) -> str:
    """``SQL statements 3``; with a unit ``PostgreSQL CPU 410 µs``."""
    name, _, unit = label.partition(", ")
    return f"{name} {text} {unit}".rstrip() if text != NOT_KNOWN else f"{name} {text}"


def _below(result: Comparison, index: int, labels: Sequence[str]) -> str:
    texts = result.variants[index].counts.as_text()
    said = [_figure(label.removesuffix(_EACH), texts[label]) for label in labels if label in texts]
    if said and all(label.endswith(_EACH) for label in labels):
        said[-1] += " per request"
    return rows.SEPARATOR.join(said)
