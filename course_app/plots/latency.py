"""Latency by percentile: what most requests got, and what the unlucky ones got.

The axis gives each further nine the same width (as HdrHistogram's plots do), because the
last hundredth of the requests is where servers differ.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from course_app.load import LoadResult
from course_app.measure.measurement import Measurement
from course_app.measure.statistics import Floats, enough_for
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.labels import EndLabel, label_ends
from course_app.plots.style import (
    MUTED,
    linear_ticks,
    listed,
    log_ticks,
    look,
    styled,
)

_TICKS = (50.0, 90.0, 99.0, 99.9, 99.99)
#: A percentile with fewer requests beyond it than this is one hiccup, not a property.
_FEWEST_BEYOND = 3
_POINTS = 160
_LOG_FROM = 12.0


def plot_measurement(result: Measurement, *, title: str | None = None) -> Figure:
    """One measurement's latencies; with an arrival rate, also what ignores the waiting.

    Under the open model a request's latency counts from the moment it was due. The line
    below counts from when it was sent, which is all that a closed-loop tool can see.
    """
    series: dict[str, Any] = {result.name: result.load.latency_ms}
    if result.load.rate is not None:
        series = {
            "from when it was due": result.load.latency_ms,
            "from when it was sent": result.load.service_ms,
        }
    return plot_latency(series, title=title or result.message)


def plot_latency(
    series: Mapping[str, Measurement | LoadResult | Floats], *, title: str | None = None
) -> Figure:
    """Latency percentiles of each series; one without a right answer is only named.

    Args:
        series: measurements, load results or plain latencies in ms, shape (requests,).
        title: the message; if not given it names the 99th percentiles, or the medians where too
            few requests tell more.
    """
    found = {name: _latencies(value) for name, value in series.items()}
    answered = {name: ms for name, ms in found.items() if ms.size}
    message = title or _message(answered)
    with styled():
        canvas = titled(message)
        axes = canvas.add_subplot()
        labels = [_curve(axes, i, n, ms) for i, (n, ms) in enumerate(found.items()) if ms.size]
        _finish_axes(axes, answered)
        if silent := [name for name in found if name not in answered]:
            told = f"no right answer: {', '.join(silent)}"
            axes.text(0.02, 0.96, told, transform=axes.transAxes, va="top", color=MUTED)
        if labels:
            label_ends(axes, labels)
        return finish(canvas, message)


def _latencies(value: Measurement | LoadResult | Floats) -> Floats:
    if isinstance(value, Measurement):
        return np.asarray(value.load.latency_ms)
    if isinstance(value, LoadResult):
        return np.asarray(value.latency_ms)
    return np.asarray(value, dtype=np.float64)


def _nines(percentile: Floats | float) -> Floats:
    """Where a percentile stands on the axis: 0 % at 0, 90 % at 1, 99 % at 2."""
    return np.asarray(-np.log10(1.0 - np.asarray(percentile) / 100.0))


def _last(requests: int) -> float:
    """The furthest percentile that this many requests can tell."""
    return max(50.0, 100.0 * (1.0 - _FEWEST_BEYOND / max(requests, 1)))


def _curve(axes: Axes, index: int, name: str, ms: Floats) -> EndLabel:
    style = look(index)
    places = np.linspace(0.0, float(_nines(_last(ms.size))), _POINTS)
    values = np.percentile(ms, 100.0 * (1.0 - 10.0**-places))
    axes.plot(places, values, color=style.color, linestyle=style.line)
    marked = [p for p in (50.0, 90.0, 99.0, 99.9) if p <= _last(ms.size)]
    axes.plot(
        _nines(np.array(marked)),
        np.percentile(ms, marked),
        linestyle="none",
        marker=style.marker,
        color=style.color,
    )
    return EndLabel(name, float(places[-1]), float(values[-1]), style.text)


def _finish_axes(axes: Axes, found: Mapping[str, Floats]) -> None:
    axes.set_xlabel("share of requests that were at least as fast")
    axes.set_ylabel("latency, ms")
    if not found:
        axes.set(xticks=[], yticks=[])
        return
    last = max(_last(ms.size) for ms in found.values())
    ticks = [tick for tick in _TICKS if tick <= last]
    axes.set_xticks(_nines(np.array(ticks)), [f"{tick:g} %" for tick in ticks])
    axes.set_xlim(0, float(_nines(last)))
    high = max(float(np.percentile(ms, _last(ms.size))) for ms in found.values())
    low = min(float(np.percentile(ms, 5)) for ms in found.values())
    if high / max(low, 1e-9) > _LOG_FROM:
        axes.set_yscale("log")
        log_ticks(axes.yaxis, low, high)
        axes.set_ylim(low / 1.5, high * 1.3)
    else:
        axes.set_ylim(0, high * 1.08)
        linear_ticks(axes.yaxis)


def _message(found: Mapping[str, Floats]) -> str:
    if not found:
        return "No request was answered rightly"
    tell = all(enough_for(99, ms.size) for ms in found.values())
    share, percent = ("1 request in 100", 99) if tell else ("half of the requests", 50)
    values = {name: float(np.percentile(ms, percent)) for name, ms in found.items()}
    return f"In one run each, {share} took longer than: {listed(values, 'ms')}"
