"""Counts as stacked bars: what became of so many requests, situation by situation."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from course_app.plots import rows
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import INK, linear_ticks, look, number, only_grid, styled

_BAR_HEIGHT = 0.62
#: A part narrower than this share of the axis has no room for a number inside.
_ROOM_FOR_NUMBER = 0.045


def plot_counts(
    counts: Mapping[str, Mapping[str, float]],
    *,
    x_label: str,
    title: str,
    mark: tuple[float, str] | None = None,
) -> Figure:
    """A bar for each situation, divided into kinds, each part with its number.

    A kind's name stands in its longest part, if that has room for a number at all.

    Args:
        counts: by situation, how often each kind came; kinds keep their look in all bars.
        mark: a value and its name for a vertical line, such as what was promised.
    """
    kinds = list(dict.fromkeys(kind for parts in counts.values() for kind in parts))
    with styled():
        canvas = titled(title)
        axes = canvas.add_subplot()
        longest = max(sum(parts.values()) for parts in counts.values()) or 1.0
        for index, kind in enumerate(kinds):
            style = look(index)
            values = [parts.get(kind, 0.0) for parts in counts.values()]
            starts = [_before(parts, kinds[:index]) for parts in counts.values()]
            axes.barh(
                range(len(counts)),
                values,
                left=starts,
                height=_BAR_HEIGHT,
                color=style.color,
                hatch=style.hatch,
                edgecolor="white",
            )
            _numbers(axes, kind, values, starts, longest)
        _finish_axes(axes, list(counts), longest, x_label)
        if mark is not None:
            _mark(axes, *mark)
        return finish(canvas, title)


def _before(parts: Mapping[str, float], kinds: list[str]) -> float:
    return sum(parts.get(kind, 0.0) for kind in kinds)


def _numbers(
    axes: Axes, kind: str, values: list[float], starts: list[float], longest: float
) -> None:
    named = values.index(max(values))
    for row, (value, start) in enumerate(zip(values, starts, strict=True)):
        if value < _ROOM_FOR_NUMBER * longest:
            continue
        axes.text(
            start + value / 2,
            row,
            f"{number(value)} {kind}" if row == named else number(value),
            ha="center",
            va="center",
            fontweight="bold",
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.9},
        )


def _mark(axes: Axes, value: float, text: str) -> None:
    axes.axvline(value, color=INK, linewidth=1.6, linestyle=(0, (4, 2)))
    axes.annotate(
        text,
        xy=(value, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, 1),
        textcoords="offset points",
        va="bottom",
        fontsize=8.5,
        color=INK,
    )


def _finish_axes(axes: Axes, names: list[str], longest: float, x_label: str) -> None:
    rows.named(axes, names, above=0.6, below=0.5)
    axes.set_xlim(0, 1.03 * longest)
    linear_ticks(axes.xaxis)
    only_grid(axes, "x")
    axes.set_xlabel(x_label)
