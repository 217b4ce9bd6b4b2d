"""Bystanders around a trigger: one panel an app, each bystander a dot at the time it was due."""

import numpy as np
from matplotlib.axes import Axes

from course_app.measure.bystanders import Bystanders
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import INK, linear_ticks, look, only_grid, styled

_COLUMNS = 2
_INCHES_PER_ROW = 1.75
_ROOM_ABOVE = 1.25


def plot_bystanders(result: Bystanders, *, title: str | None = None) -> Figure:
    """What those waited who came before and after the trigger; a dashed line is its answer.

    Args:
        title: the message; the result's own if not given.
    """
    message = title or result.message
    with styled():
        canvas = titled(message)
        rows = -(-len(result.series) // _COLUMNS)
        canvas.set_figheight(_INCHES_PER_ROW * rows + 0.9)
        columns = min(_COLUMNS, len(result.series))
        grid = canvas.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for index, (axes, name) in enumerate(zip(grid, result.series, strict=False)):
            _panel(axes, index, name, result)
        for axes in grid[len(result.series) :]:
            axes.remove()
        _finish_axes(list(grid[: len(result.series)]), result)
        canvas.supxlabel(f"ms since {result.trigger} was sent", fontsize=9.5)
        # A single row is too low for a long label.
        of = "\n" if rows == 1 else " "
        canvas.supylabel(f"latency of{of}{result.bystander}, ms", fontsize=9.5)
        return finish(canvas, message, scatter=True)


def _panel(axes: Axes, index: int, name: str, result: Bystanders) -> None:
    style = look(index)
    for repeat in result.series[name]:
        axes.plot(
            repeat.due_ms,
            repeat.latency_ms,
            linestyle="none",
            marker=style.marker,
            markersize=3.2,
            markeredgewidth=0,
            color=style.color,
            alpha=0.5,
        )
    _answer(axes, result.answered(name).estimate, float(result.series[name][0].due_ms.max()))
    axes.set_title(name, color=style.text, fontweight="bold")


def _answer(axes: Axes, answered: float, end: float) -> None:
    """A line where the trigger was answered; its text is on the side where there is room."""
    late = answered > end / 2
    axes.axvline(answered, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.annotate(
        "answered",  # the axis says when, the table how sure that is
        xy=(answered, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if late else 4, -2),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top",
        fontsize=8,
    )


def _finish_axes(panels: list[Axes], result: Bystanders) -> None:
    repeats = [repeat for series in result.series.values() for repeat in series]
    highest = max(float(repeat.latency_ms.max(initial=0.0)) for repeat in repeats)
    ends = np.concatenate([repeat.due_ms for repeat in repeats])
    panels[0].set_ylim(0, _ROOM_ABOVE * highest)
    panels[0].set_xlim(float(ends.min()) - 5, float(ends.max()) + 5)
    linear_ticks(panels[0].xaxis)
    linear_ticks(panels[0].yaxis, 4)
    for axes in panels[-_COLUMNS:]:  # one of them may have nothing below it
        axes.tick_params(labelbottom=True)
    for axes in panels:
        only_grid(axes, "y")
