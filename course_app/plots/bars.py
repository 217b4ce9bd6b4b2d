"""A comparison as bars: how many times as fast, how sure, and what caused it.

On a logarithmic axis they are dots: a bar's length would mean nothing there.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from course_app.measure.comparison import Comparison
from course_app.measure.prediction import Prediction
from course_app.measure.statistics import WORTH_A_CHANGE, Interval, Verdict, significant
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.labels import make_room
from course_app.plots.style import (
    GRID,
    INK,
    MUTED,
    Look,
    linear_ticks,
    log_ticks,
    look,
    only_grid,
    styled,
    ticks_up_to,
)

#: Beyond this factor between bars, short ones vanish on a linear axis.
_LOG_FROM = 12.0
_NAME_CHARACTERS = 24
_BAR_HEIGHT = 0.4
_COUNTERS = 2
#: A count says something about the cause if it differs by more than this share.
_TELLING = 0.1
_EACH = " / request"
_SEPARATOR = "  ·  "
_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}


#: A factor or the learner's prediction for the last variant, or factors by variant's name.
Predicted = float | Prediction | Mapping[str, float] | None


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
    return plot_bars(bars, title=message)


def plot_bars(bars: Sequence[Bar], *, title: str, unit: str = "times as fast") -> Figure:
    """Factors as horizontal bars, or dots on a log axis; the others are compared with the first."""
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
    start = 1.0 if logarithmic else 0.0
    predicted = f"◇ predicted {significant(bar.predicted)}x" if bar.predicted is not None else ""
    if bar.below or predicted:
        _under(axes, row, _SEPARATOR.join(filter(None, [predicted, bar.below])))
    if not np.isfinite(bar.factor):
        return _value(axes, row, start, bar, look(row))
    style = look(row)
    if logarithmic:
        axes.plot([bar.factor], [row], marker=style.marker, markersize=9, color=style.color)
    else:
        _bar(axes, row, bar.factor, style)
    ends = [bar.factor, start]
    if bar.interval is not None:
        limits = [bar.interval.low, bar.interval.high]
        axes.plot(limits, [row, row], color=INK, linewidth=1.4, marker="|", markersize=9)
        ends += limits
    if bar.predicted is not None:
        _prediction(axes, row, max(ends), bar.predicted)
        ends.append(bar.predicted)
    return _value(axes, row, max(ends), bar, style)


def _bar(axes: Axes, row: int, factor: float, style: Look) -> None:
    axes.barh(
        row, factor, height=_BAR_HEIGHT, color=style.color, edgecolor="white", hatch=style.hatch
    )


def _under(axes: Axes, row: int, text: str) -> None:
    axes.annotate(
        text,
        xy=(0, row + _BAR_HEIGHT / 2),
        xycoords=("axes fraction", "data"),
        xytext=(4, -1.5),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color=MUTED,
        bbox=_WHITE,
    )


def _prediction(axes: Axes, row: int, end: float, factor: float) -> None:
    """A diamond where the bar was expected to end, joined to it by dots."""
    axes.plot([min(end, factor), factor], [row, row], color=INK, linestyle=":", linewidth=1.2)
    axes.plot(
        [factor], [row], marker="D", markersize=7, markerfacecolor="white", markeredgecolor=INK
    )


def _value(axes: Axes, row: int, end: float, bar: Bar, style: Look) -> Annotation:
    text = str(bar.interval) if bar.interval is not None else f"{significant(bar.factor)}x"
    if not np.isfinite(bar.factor):
        text = "no speed-up"
    elif row == 0:
        text = "1 (baseline)"
    return axes.annotate(
        text,
        xy=(end, row),
        xytext=(9, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold",
        color=style.text,
        bbox=_WHITE,
    )


def _finish_axes(
    axes: Axes, bars: Sequence[Bar], low: float, high: float, logarithmic: bool
) -> None:
    axes.axvline(1.0, color=INK if logarithmic else MUTED, linewidth=1.0, zorder=0.5)
    axes.set_yticks(range(len(bars)), [wrapped(bar.name) for bar in bars])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(bars) - 1 + 0.75, -0.65)
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


def wrapped(name: str) -> str:
    """A variant's name in lines short enough to stand beside its row."""
    return textwrap.fill(name, _NAME_CHARACTERS)


def _message(result: Comparison, metric: str | None) -> str:
    """The verdict on the only other variant, or on the fastest of several."""
    if result.wrong:
        return result.message
    others = result.variants[1:]
    best = max(others, key=lambda variant: result.speedup(variant.name, metric).estimate)
    speedup, base = result.speedup(best.name, metric), result.baseline.name
    if speedup.verdict() is Verdict.FASTER:
        return f"{best.name} is {speedup.times} as fast as {base}"
    if speedup.verdict() is Verdict.CANNOT_TELL:
        return f"Cannot tell whether {best.name} is faster than {base}: {speedup}"
    if len(others) == 1 and speedup.high < 1 / WORTH_A_CHANGE:
        return f"{best.name} is slower than {base}: {speedup}"
    if len(others) > 1:
        return f"None of these is faster than {base}; the best is {best.name}: {speedup}"
    return f"{best.name} is not faster than {base}: {speedup}"


def _predictions(result: Comparison, predicted: Predicted) -> Mapping[str, float]:
    if predicted is None or isinstance(predicted, Mapping):
        return predicted or {}
    value = predicted.value if isinstance(predicted, Prediction) else float(predicted)
    return {result.variants[-1].name: value}


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


def _below(result: Comparison, index: int, labels: Sequence[str]) -> str:
    texts = result.variants[index].counts.as_text()
    said = [f"{label.removesuffix(_EACH)} {texts[label]}" for label in labels if label in texts]
    if said and all(label.endswith(_EACH) for label in labels):
        said[-1] += " per request"
    return _SEPARATOR.join(said)
