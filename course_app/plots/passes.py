"""Who passes when: each request a dot at the time at which it came, refused ones as crosses."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import COLORS, INK, MUTED, linear_ticks, only_grid, styled

_PASSED, _REFUSED = COLORS[0], COLORS[1]
_INCHES_PER_ROW, _INCHES_BESIDE = 0.8, 1.3
#: Refused requests stand a little lower, so that neither kind hides the other.
_LOWER = 0.28

#: When requests came, in seconds, and whether each passed.
Arrivals = tuple[Sequence[float], Sequence[bool]]


def plot_passes(
    rows: Mapping[str, Arrivals],
    *,
    title: str,
    x_label: str = "seconds",
    borders: Sequence[float] = (),
    border: str = "",
) -> Figure:
    """One row for each limiter that saw the same requests.

    Args:
        borders: times to mark with lines, such as those at which a window begins anew.
        border: what such a line is, written beside the first.
    """
    with styled():
        canvas = titled(title)
        canvas.set_figheight(_INCHES_BESIDE + _INCHES_PER_ROW * len(rows))
        axes = canvas.add_subplot()
        for row, arrivals in enumerate(rows.values()):
            _row(axes, row, arrivals)
        _finish_axes(axes, list(rows), x_label)
        _borders(axes, borders, border)
        return finish(canvas, title)


def _row(axes: Axes, row: int, arrivals: Arrivals) -> None:
    times, passed = np.asarray(arrivals[0], dtype=np.float64), np.asarray(arrivals[1], dtype=bool)
    let, kept = times[passed], times[~passed]
    axes.plot(let, np.full(let.size, row), "o", color=_PASSED, markersize=4.5, alpha=0.75)
    axes.plot(kept, np.full(kept.size, row + _LOWER), "x", color=_REFUSED, markersize=4)
    axes.annotate(
        f"{let.size} pass\n{kept.size} refused",
        xy=(1, row + _LOWER / 2),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        annotation_clip=False,
    )


def _borders(axes: Axes, times: Sequence[float], text: str) -> None:
    for time in times:
        axes.axvline(time, color=MUTED, linewidth=1.1, linestyle=(0, (4, 2)), zorder=0.5)
    if len(times) and text:
        axes.annotate(
            text,
            xy=(times[0], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 1),
            textcoords="offset points",
            va="bottom",
            fontsize=8.5,
            color=INK,
        )


def _finish_axes(axes: Axes, names: Sequence[str], x_label: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.3, -0.5)
    linear_ticks(axes.xaxis)
    only_grid(axes, "x")
    axes.set_xlabel(x_label)
