"""Panels side by side over one parameter: what something takes, and what causes it."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import lay_out, look, renderer_of, styled
from course_app.plots.sweep import LinePoint, draw_lines

_COLUMNS = 2
#: What a further row adds to a figure's height, as a share of it.
_MORE_HEIGHT = 0.6


def plot_panels(
    panels: Mapping[str, Mapping[str, Sequence[LinePoint]]],
    *,
    x_label: str,
    title: str,
    x_log: bool | None = None,
    y_log: bool | None = None,
) -> Figure:
    """Lines seen in several ways, such as time on the left and buffers on the right.

    Args:
        panels: by the label of the y axis, the lines of a panel; two fit side by side, and
            more begin a new row.
        x_log: logarithmic axis; decided by the range if not given. The same for ``y_log``.
    """
    with styled():
        canvas = titled(title)
        columns = min(len(panels), _COLUMNS)
        rows = -(-len(panels) // columns)
        canvas.set_figheight(canvas.get_figheight() * (1 + _MORE_HEIGHT * (rows - 1)))
        grid = canvas.subplots(rows, columns, squeeze=False).ravel()
        all_axes, unused = grid[: len(panels)], grid[len(panels) :]
        for axes in unused:
            axes.remove()
        for axes, (y_label, lines) in zip(all_axes, panels.items(), strict=True):
            draw_lines(axes, lines, x_log=x_log, y_log=y_log)
            axes.set_xlabel(x_label)
            axes.tick_params(axis="x", labelsize=8)
            axes.set_ylabel(y_label)
        lay_out(canvas)
        for axes, lines in zip(all_axes, panels.values(), strict=True):
            _name_above(axes, list(lines))
        return finish(canvas, title)


def _name_above(axes: Axes, names: Sequence[str]) -> None:
    """The lines' names over their panel: beside their ends they would take half of its width.

    The panels have their width already: a list of names that is too wide would take from it.
    """
    canvas = axes.figure.get_figure(root=True)
    assert canvas is not None
    renderer = renderer_of(canvas)
    room = axes.get_window_extent(renderer).width
    styles = [look(index) for index in range(len(names))]
    lines = [
        Line2D([], [], color=style.color, marker=style.marker, linestyle=style.line)
        for style in styles
    ]
    for columns in range(len(names), 0, -1):
        legend = axes.legend(
            lines,
            names,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            fontsize=8.5,
            labelcolor=[style.text for style in styles],
            frameon=False,
            handlelength=3.2,
            handletextpad=0.5,
            columnspacing=1.2,
            borderaxespad=0,
        )
        if legend.get_window_extent(renderer).width <= room:
            return
