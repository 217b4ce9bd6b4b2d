"""Quantities with their intervals, one a row: milliseconds, microseconds, requests per second."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.text import Annotation

from course_app.measure.statistics import NOT_KNOWN, Interval, significant
from course_app.plots import rows
from course_app.plots.figure import Figure, finish, nothing_known, titled
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

_LOG_FROM = 12.0
#: Beyond so many rows a figure grows, so that words below a row keep their place.
_ROWS, _MORE_HEIGHT = 5, 0.16


@dataclass(frozen=True)
class Dot:
    """One row: a quantity, what was predicted of it, and what was counted."""

    name: str
    value: Interval
    predicted: float | None = None
    below: str = ""


def plot_dots(
    dots: Sequence[Dot], *, x_label: str, title: str, unit: str, log: bool | None = None
) -> Figure:
    """Quantities as dots with intervals; a line stands where the first of them is.

    Args:
        unit: of the values, for their numbers.
        log: a logarithmic axis; if not given, decided by the range.
    """
    known = [dot for dot in dots if isfinite(dot.value.estimate)]
    if not known:
        return nothing_known(title)
    ends = [end for dot in known for end in _ends(dot)]
    low, high = min(ends), max(ends)
    logarithmic = (low > 0 and high / low > _LOG_FROM) if log is None else log
    with styled():
        canvas = titled(title)
        more = max(0, len(dots) - _ROWS)
        canvas.set_figheight(canvas.get_figheight() * (1 + _MORE_HEIGHT * more))
        axes = canvas.add_subplot()
        rows.named(axes, [dot.name for dot in dots])
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xlim(low / 1.25, high)
            log_ticks(axes.xaxis, low, high)
        else:
            axes.set_xlim(min(0.0, 1.05 * low), high)
            linear_ticks(axes.xaxis)
        only_grid(axes, "x")
        axes.grid(True, axis="x", color=GRID)
        baseline = dots[0].value.estimate if logarithmic else 0.0
        if isfinite(baseline):
            axes.axvline(baseline, color=MUTED, linewidth=1.4, zorder=0.5)
        texts = [_draw(axes, row, dot, unit) for row, dot in enumerate(dots)]
        scale = "log scale, " if logarithmic else ""
        axes.set_xlabel(f"{x_label} ({scale}99 % intervals)")
        make_room(axes, texts)
        ticks_up_to(axes.xaxis, 1.05 * high)
        return finish(canvas, title)


def _ends(dot: Dot) -> list[float]:
    limits = [x for x in (dot.value.low, dot.value.high, dot.predicted) if x is not None]
    return [dot.value.estimate, *filter(isfinite, limits)]


def _draw(axes: Axes, row: int, dot: Dot, unit: str) -> Annotation:
    said = "" if dot.predicted is None else f"◇ predicted {significant(dot.predicted)} {unit}"
    if said or dot.below:
        rows.under(axes, row, rows.SEPARATOR.join(filter(None, [said, dot.below])))
    if not isfinite(dot.value.estimate):
        return rows.value(axes, row, axes.get_xlim()[0], NOT_KNOWN)
    if dot.predicted is not None:
        rows.prediction(axes, row, dot.value.estimate, dot.predicted)
    rows.dot(axes, row, dot.value.estimate, dot.value)
    return rows.value(axes, row, max(_ends(dot)), f"{dot.value:significant} {unit}")
