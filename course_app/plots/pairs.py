"""The windows of a comparison one by one: why the interval is as wide as it is."""

import numpy as np
from matplotlib.axes import Axes

from course_app.measure.comparison import Comparison
from course_app.measure.statistics import Floats, Interval
from course_app.plots.figure import Figure, finish, nothing_known, titled
from course_app.plots.labels import EndLabel, label_ends
from course_app.plots.style import (
    INK,
    MUTED,
    linear_ticks,
    log_ticks,
    look,
    only_grid,
    readable,
    styled,
)

_UNITS = {"p50": "median latency, ms", "throughput": "requests/s", "cpu": "CPU, µs / request"}


def plot_pairs(
    result: Comparison,
    name: str | None = None,
    *,
    title: str | None = None,
    metric: str | None = None,
) -> Figure:
    """Left: each round's value of the baseline and a variant. Right: each round's ratio.

    Args:
        name: the variant; the last one if not given.
        title: the message; computed from the result if not given.
        metric: ``p50``, ``throughput`` or ``cpu``; the comparison's own if not given.

    Raises:
        ValueError: answers were wrong, so no windows were measured.
    """
    metric = metric or result.metric
    variant = result[name] if name else result.variants[-1]
    interval = result.speedup(variant.name, metric)
    ratios = np.exp(result.log_ratios(variant.name, metric))
    known = ~np.isnan(ratios)
    if not known.any():
        return nothing_known(title or result.message)
    ratios = ratios[known]
    message = title or _message(ratios, interval)
    with styled():
        canvas = titled(message)
        left, right = canvas.subplots(1, 2, width_ratios=(1.5, 1))
        pair = {v.name: v.rounds[metric][known] for v in (result.baseline, variant)}
        _rounds(left, pair, _UNITS[metric])
        _ratios(right, ratios, interval)
        label_ends(left, _labels(pair))
        return finish(canvas, message)


def _rounds(axes: Axes, values: dict[str, Floats], unit: str) -> None:
    together = np.concatenate(list(values.values()))
    if together.max() / max(together.min(), 1e-12) > 8:
        axes.set_yscale("log")
        log_ticks(axes.yaxis, together.min(), together.max())
    for index, series in enumerate(values.values()):
        style = look(index)
        numbers = np.arange(1, series.size + 1)
        axes.plot(numbers, series, color=style.color, marker=style.marker, linestyle=style.line)
    if axes.get_yscale() == "linear":
        axes.set_ylim(0, together.max() * 1.1)
        linear_ticks(axes.yaxis)
    linear_ticks(axes.xaxis, whole=True)
    only_grid(axes, "y")
    axes.set_xlabel("round")
    axes.set_ylabel(unit)


def _labels(values: dict[str, Floats]) -> list[EndLabel]:
    return [
        EndLabel(name, series.size, float(series[-1]), look(i).text)
        for i, (name, series) in enumerate(values.items())
    ]


def _ratios(axes: Axes, ratios: Floats, interval: Interval) -> None:
    color = look(2).color
    axes.axhspan(interval.low, interval.high, color=color, alpha=0.18, linewidth=0)
    axes.axhline(interval.estimate, color=color)
    axes.axhline(1.0, color=MUTED, linewidth=1.0)
    axes.plot(
        np.arange(1, ratios.size + 1),
        ratios,
        linestyle="none",
        marker=look(2).marker,
        color=color,
        markeredgecolor=INK,
        markeredgewidth=0.5,
    )
    axes.set_title(str(interval), loc="right", color=readable(color), fontweight="bold")
    top = max(float(ratios.max()), interval.high, 1.0)
    axes.set_ylim(0, 1.15 * top)
    linear_ticks(axes.yaxis)
    linear_ticks(axes.xaxis, 4, whole=True)
    only_grid(axes, "y")
    axes.set_xlabel("round")
    axes.set_ylabel("times as fast in this round")


def _message(ratios: Floats, interval: Interval) -> str:
    spread = f"{ratios.min():.2f}x to {ratios.max():.2f}x"
    return f"{ratios.size} rounds say {spread}; together they say {interval}"
