"""What stands in a row of its own: a name, a bar or a dot with its interval, and words below it."""

import textwrap
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.text import Annotation

from course_app.measure.statistics import Interval
from course_app.plots.style import COLORS, INK, MUTED, readable

BAR_HEIGHT = 0.4
SEPARATOR = "  ·  "
_NAME_CHARACTERS = 24
_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
#: One row is told from another by its name; a colour means the baseline, or what is compared.
BASELINE, COMPARED = "#8c8c8c", COLORS[0]


def color_of(row: int) -> str:
    """The first row is the baseline."""
    return COMPARED if row else BASELINE


def bar(axes: Axes, row: int, value: float, interval: Interval | None) -> None:
    """A bar from zero: only on a linear axis does its length say how much."""
    axes.barh(row, value, height=BAR_HEIGHT, color=color_of(row), edgecolor="white")
    if interval is not None:
        limits = [interval.low, interval.high]
        axes.plot(limits, [row, row], color=INK, linewidth=1.4, marker="|", markersize=9)


def dot(axes: Axes, row: int, value: float, interval: Interval | None) -> None:
    """A dot with its interval, also on a logarithmic axis."""
    color = color_of(row)
    if interval is not None and isfinite(interval.low) and isfinite(interval.high):
        limits = [interval.low, interval.high]
        axes.plot(limits, [row, row], color=color, linewidth=2.4, marker="|", markersize=10)
    axes.plot([value], [row], color=color, marker="o", markersize=7.5, markeredgecolor="white")


def under(axes: Axes, row: int, text: str) -> None:
    """Words below a row, in small print."""
    axes.annotate(
        text,
        xy=(0, row + BAR_HEIGHT / 2),
        xycoords=("axes fraction", "data"),
        xytext=(4, -1.5),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color=MUTED,
        bbox=_WHITE,
    )


def prediction(axes: Axes, row: int, start: float, value: float) -> None:
    """A diamond where the value was expected, joined by dots to where it is."""
    axes.plot([start, value], [row, row], color=INK, linestyle=":", linewidth=1.2, zorder=1.5)
    axes.plot(
        [value], [row], marker="D", markersize=7, markerfacecolor="white", markeredgecolor=INK
    )


def value(axes: Axes, row: int, end: float, text: str) -> Annotation:
    """The number of a row, beside its end."""
    return axes.annotate(
        text,
        xy=(end, row),
        xytext=(9, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold",
        color=readable(color_of(row)),
        bbox=_WHITE,
    )


def named(axes: Axes, names: list[str], above: float = 0.65, below: float = 0.75) -> None:
    """The rows' names, the first on top, with so many rows' heights of room at both ends."""
    axes.set_yticks(range(len(names)), [textwrap.fill(name, _NAME_CHARACTERS) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 1 + below, -above)
