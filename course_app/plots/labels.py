"""Names written beside the lines they belong to, moved apart where they would overlap."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, offset_copy

from course_app.measure.statistics import Floats
from course_app.plots.style import MUTED, lay_out, renderer_of

_GAP_POINTS = 9.0
_WIDEST_CHARACTERS = 22
_LINE_GAP_PIXELS = 2.0
#: Names moved further than this get thin lines back to where they belong.
_LEADER_PIXELS = 4.0
#: Where a point's name may stand, in points from it, the best place first.
_AROUND = tuple(
    (right * points, up * points)
    for points in (4.0, 9.0)
    for right, up in ((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 2), (0, -2), (-2, 0), (2, 0))
)
_SIDES = {-1.0: "right", 0.0: "center", 1.0: "left"}
_LEVELS = {-1.0: "top", 0.0: "center", 1.0: "bottom"}
#: Each segment of a line is looked at in so many places.
_PER_SEGMENT = 60


@dataclass(frozen=True)
class EndLabel:
    """A name for the point (x, y), in data units, at the right end of a line."""

    text: str
    x: float
    y: float
    color: str


def label_ends(axes: Axes, labels: Sequence[EndLabel]) -> list[Annotation]:
    """Write the names to the right of the longest line, none on top of another."""
    canvas = axes.figure.get_figure(root=True)
    assert canvas is not None
    edge = max(label.x for label in labels)  # beside a shorter line's end another one may run
    notes = [_note(axes, label, edge) for label in labels]
    lay_out(canvas)
    renderer = renderer_of(canvas)
    heights = [note.get_window_extent(renderer).height + _LINE_GAP_PIXELS for note in notes]
    wanted = [float(axes.transData.transform((label.x, label.y))[1]) for label in labels]
    box = axes.get_window_extent(renderer)
    places = spread(wanted, heights, box.y0, box.y1)
    moves = [there - here for here, there in zip(wanted, places, strict=True)]
    leaders = any(abs(move) > _LEADER_PIXELS for move in moves)
    leaders |= any(label.x < edge for label in labels)
    for label, note, move in zip(labels, notes, moves, strict=True):
        _move(axes, label, note, move * 72 / canvas.dpi, leaders)
    return notes


def label_points(
    axes: Axes, labels: Sequence[EndLabel], lines: Sequence[Sequence[tuple[float, float]]]
) -> None:
    """Write each name beside its point, where it lies on no line and on no other name if it can.

    Args:
        lines: what is drawn, by line its points (x, y) in data units.
    """
    canvas = axes.figure.get_figure(root=True)
    assert canvas is not None
    lay_out(canvas)
    taken = np.concatenate([_along(axes, line) for line in lines])
    for label in labels:
        places = [_beside(axes, label, right, up) for right, up in _AROUND]
        boxes = [place.get_window_extent() for place in places]
        best = min(range(len(places)), key=lambda i: _hidden(axes, boxes[i], taken))
        for place in (*places[:best], *places[best + 1 :]):
            place.remove()
        taken = np.concatenate([taken, _within(boxes[best])])


def _along(axes: Axes, line: Sequence[tuple[float, float]]) -> Floats:
    """Pixels along a line, and at its right end, where its own name will stand; shape (n, 2)."""
    corners = axes.transData.transform(np.array(line, dtype=np.float64).reshape(-1, 2))
    steps = np.linspace(0, 1, _PER_SEGMENT)[:, None]
    segments = [a + steps * (b - a) for a, b in pairwise(corners)]
    x, y = corners[np.argmax(corners[:, 0])] if len(corners) else (np.nan, np.nan)
    return np.concatenate([corners, *segments, _within(Bbox.from_bounds(x, y - 8, 30, 16))])


def _beside(axes: Axes, label: EndLabel, right: float, up: float) -> Annotation:
    return axes.annotate(
        label.text,
        xy=(label.x, label.y),
        xytext=(right, up),
        textcoords="offset points",
        ha=_SIDES[float(np.sign(right))],
        va=_LEVELS[float(np.sign(up))],
        color=label.color,
        fontsize=8.5,
    )


def _hidden(axes: Axes, box: Bbox, taken: Floats) -> int:
    """How much a name hides that stands there; outside of the axes it must not stand at all."""
    frame = axes.get_window_extent()
    outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    inside = (taken > (box.x0 - 1, box.y0 - 1)) & (taken < (box.x1 + 1, box.y1 + 1))
    return int(inside.all(axis=1).sum()) + (len(taken) if outside else 0)


def _within(box: Bbox) -> Floats:
    """Points of a box, as close to each other as those of lines."""
    x, y = np.linspace(box.x0, box.x1, 12), np.linspace(box.y0, box.y1, 8)
    return np.array([(each, other) for each in x for other in y])


def make_room(axes: Axes, texts: Sequence[Annotation]) -> None:
    """Move the right end of the x axis until all the texts are inside of it."""
    canvas = axes.figure.get_figure(root=True)
    assert canvas is not None
    renderer = renderer_of(canvas)
    for _ in range(8):
        lay_out(canvas)
        box = axes.get_window_extent(renderer)
        over = max((text.get_window_extent(renderer).x1 - box.x1 for text in texts), default=0.0)
        if over <= 0:
            return
        right = axes.transData.inverted().transform((box.x1 + over + _GAP_POINTS, box.y0))[0]
        axes.set_xlim(right=right)


def spread(
    wanted: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Centres as near as possible to the wanted ones, so that boxes do not overlap.

    Boxes that touch form a stack that is centred on the mean of its wishes, as long as the stack
    stays between ``low`` and ``high`` (a stack that is too tall starts at ``low``).
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    stacks: list[list[int]] = []
    for i in order:
        stacks.append([i])
        while len(stacks) > 1 and _touch(stacks[-2], stacks[-1], wanted, heights, low, high):
            last = stacks.pop()
            stacks[-1] += last
    places = [0.0] * len(wanted)
    for stack in stacks:
        bottom = _bottom(stack, wanted, heights, low, high)
        for i in stack:
            places[i] = bottom + heights[i] / 2
            bottom += heights[i]
    return places


def _touch(
    below: list[int],
    above: list[int],
    wanted: Sequence[float],
    heights: Sequence[float],
    low: float,
    high: float,
) -> bool:
    top = _bottom(below, wanted, heights, low, high) + sum(heights[i] for i in below)
    return top > _bottom(above, wanted, heights, low, high)


def _bottom(
    stack: list[int],
    wanted: Sequence[float],
    heights: Sequence[float],
    low: float,
    high: float,
) -> float:
    total = sum(heights[i] for i in stack)
    centre = sum(wanted[i] for i in stack) / len(stack)
    return max(low, min(centre - total / 2, high - total))


def _note(axes: Axes, label: EndLabel, edge: float) -> Annotation:
    return axes.annotate(
        textwrap.fill(label.text, _WIDEST_CHARACTERS, break_long_words=False),
        xy=(edge, label.y),
        xytext=(_GAP_POINTS, 0),
        textcoords="offset points",
        color=label.color,
        va="center",
        fontsize=9,
        fontweight="bold",
        annotation_clip=False,
    )


def _move(axes: Axes, label: EndLabel, note: Annotation, points: float, leader: bool) -> None:
    if not leader:
        note.set_position((_GAP_POINTS, points))
        return
    note.set_position((_GAP_POINTS + 6, points))
    arrow = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
    canvas = axes.figure.get_figure(root=True)
    beside = offset_copy(axes.transData, canvas, _GAP_POINTS + 5, points, units="points")
    axes.annotate(
        "",
        xy=(label.x, label.y),
        xytext=note.xy,
        textcoords=beside,
        annotation_clip=False,
        arrowprops=arrow,
    )
