"""Distributions side by side: every request a dot, with the median and the tail marked."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from course_app.load import LoadResult
from course_app.measure.comparison import Comparison
from course_app.measure.measurement import Measurement
from course_app.measure.statistics import Floats, enough_for, significant
from course_app.plots import rows
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import INK, linear_ticks, listed, log_ticks, look, only_grid, styled

_MOST_DOTS = 2000
_SPREAD = 0.26
_MARK = 0.34
_LOG_FROM = 12.0
_SEED = 0


def plot_distribution(
    result: Comparison | Mapping[str, Measurement | LoadResult | Floats],
    *,
    title: str | None = None,
    x_label: str = "latency, ms",
) -> Figure:
    """Every latency as a dot; a thick line marks the median, a thin one the 99th percentile.

    The percentile is left out where too few requests were slower to tell it.

    Args:
        result: a comparison, or measurements, loads or plain values in ms by name.
        title: the message; the medians if not given.
    """
    found = _values(result)
    medians = {name: float(np.median(values)) for name, values in found.items()}
    message = title or f"Half of the requests take up to: {listed(medians, 'ms')}"
    with styled():
        canvas = titled(message)
        axes = canvas.add_subplot()
        together = np.concatenate(list(found.values()))
        low, high = float(np.percentile(together, 0.1)), float(together.max())
        if high / max(low, 1e-9) > _LOG_FROM:
            axes.set_xscale("log")
            axes.set_xlim(low / 1.2, high * 1.2)
            log_ticks(axes.xaxis, low, high)
        else:
            axes.set_xlim(0, high * 1.05)
            linear_ticks(axes.xaxis)
        for row, values in enumerate(found.values()):
            _strip(axes, row, values)
        _finish_axes(axes, list(found), x_label)
        return finish(canvas, message, scatter=True)


def _values(
    result: Comparison | Mapping[str, Measurement | LoadResult | Floats],
) -> dict[str, Floats]:
    if isinstance(result, Comparison):
        return {variant.name: variant.latencies_ms for variant in result.variants}
    return {name: _latencies(value) for name, value in result.items()}


def _latencies(value: Measurement | LoadResult | Floats) -> Floats:
    if isinstance(value, Measurement):
        return value.load.latency_ms
    return value.latency_ms if isinstance(value, LoadResult) else np.asarray(value)


def _strip(axes: Axes, row: int, values: Floats) -> None:
    style = look(row)
    generator = np.random.default_rng(_SEED)
    shown = values
    if values.size > _MOST_DOTS:
        # Quantiles instead of a draw: the slowest and the fastest stay in.
        shown = np.quantile(values, np.linspace(0, 1, _MOST_DOTS))
    heights = row + generator.uniform(-_SPREAD, _SPREAD, shown.size)
    axes.plot(
        shown,
        heights,
        linestyle="none",
        marker=style.marker,
        markersize=2.6,
        markeredgewidth=0,
        color=style.color,
        alpha=0.35,
    )
    # To the left of the median and to the right of the tail: the texts cannot meet.
    for q, width, side in ((50, 3.0, "right"), (99, 1.2, "left")):
        if q > 50 and not enough_for(q, values.size):
            continue
        at = float(np.percentile(values, q))
        axes.plot([at, at], [row - _MARK, row + _MARK], color=INK, linewidth=width)
        axes.annotate(
            f"p{q} {significant(at)}",
            xy=(at, row - _MARK),
            xytext=(0, 1),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=8,
            fontweight="bold" if q == 50 else "normal",
        )


def _finish_axes(axes: Axes, names: list[str], x_label: str) -> None:
    rows.named(axes, names, above=0.6, below=0.5)
    only_grid(axes, "x")
    axes.set_xlabel(x_label)
