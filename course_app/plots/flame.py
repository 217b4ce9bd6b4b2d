"""A flame graph that hangs down: callers above, what they call below, width is time."""

from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from course_app.measure.flame import WAITING, FlameFrame
from course_app.measure.profile import FlameGraph
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import INK, lay_out, look, renderer_of, styled

#: Narrower boxes are not drawn; their callers are, so nothing is hidden but detail.
_NARROWEST = 0.004
_DEEPEST = 14
_FILLS = {"app": look(1).color, "library": "#dcdcdc", WAITING: "#ffffff"}


@dataclass(frozen=True)
class _Box:
    frame: FlameFrame
    left: float
    width: float
    depth: int


def plot_flame(result: FlameGraph, *, title: str | None = None) -> Figure:
    """The time of a thread, split by what called what.

    Args:
        title: the message; the result's own if not given.
    """
    message = title or result.message
    boxes = list(_boxes(result.root, 0.0, 0, result.root.seconds))
    with styled():
        canvas = titled(message)
        axes = canvas.add_subplot()
        axes.set_xlim(0, 100)
        axes.set_ylim(max(box.depth for box in boxes) + 1.05, -0.05)
        for box in boxes:
            _draw(axes, box)
        _finish_axes(axes)
        lay_out(canvas)
        for box in boxes:
            _label(axes, box)
        return finish(canvas, message)


def _boxes(frame: FlameFrame, left: float, depth: int, whole: float) -> Iterator[_Box]:
    width = frame.seconds / whole
    if width < _NARROWEST or depth > _DEEPEST:
        return
    yield _Box(frame, left, width, depth)
    for child in frame.children:
        yield from _boxes(child, left, depth + 1, whole)
        left += child.seconds / whole


def _draw(axes: Axes, box: _Box) -> None:
    axes.add_patch(
        Rectangle(
            (100 * box.left, box.depth + 0.04),
            100 * box.width,
            0.92,
            facecolor=_FILLS[box.frame.kind],
            hatch="////" if box.frame.kind == WAITING else None,
            edgecolor="#bbbbbb" if box.frame.kind == WAITING else "white",
            linewidth=0.8,
        )
    )


def _label(axes: Axes, box: _Box) -> None:
    """The name where it fits; with the share, where that fits too."""
    app = box.frame.kind == "app"
    for text in (f"{box.frame.name} {box.width:.0%}", box.frame.name):
        label = axes.text(
            100 * (box.left + box.width / 2),
            box.depth + 0.5,
            text,
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if app else "normal",
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            if box.frame.kind == WAITING
            else None,
        )
        figure = axes.figure.get_figure(root=True)
        assert figure is not None
        extent = label.get_window_extent(renderer_of(figure))
        room = axes.get_window_extent().width * box.width
        if extent.width < room - 4:
            return
        label.remove()


def _finish_axes(axes: Axes) -> None:
    axes.grid(False)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(
        "% of the thread's time; each box was called by the one above it; "
        "in bold: the app's own functions"
    )
