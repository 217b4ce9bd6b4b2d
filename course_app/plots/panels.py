"""Two panels side by side over one parameter: what something takes, and what causes it."""

from collections.abc import Mapping, Sequence

from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import styled
from course_app.plots.sweep import LinePoint, draw_lines, label_lines


def plot_panels(
    panels: Mapping[str, Mapping[str, Sequence[LinePoint]]],
    *,
    x_label: str,
    title: str,
    x_log: bool | None = None,
    y_log: bool | None = None,
) -> Figure:
    """The same lines seen twice, such as time on the left and buffers on the right.

    Args:
        panels: by the label of the y axis, the lines of a panel; two fit well.
        x_log: logarithmic axis; decided by the range if not given. The same for ``y_log``.
    """
    with styled():
        canvas = titled(title)
        all_axes = canvas.subplots(1, len(panels), squeeze=False)[0]
        for axes, (y_label, lines) in zip(all_axes, panels.items(), strict=True):
            draw_lines(axes, lines, x_log=x_log, y_log=y_log)
            axes.set_xlabel(x_label)
            axes.tick_params(axis="x", labelsize=8)
            axes.set_ylabel(y_label)
        for axes, lines in zip(all_axes, panels.values(), strict=True):
            label_lines(axes, lines)
        return finish(canvas, title)
