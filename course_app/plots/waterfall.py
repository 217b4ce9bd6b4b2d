"""A trace as a waterfall: one row a span, repeated statements as a staircase."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.text import Annotation

from course_app.measure.spans import Span
from course_app.measure.statistics import significant
from course_app.measure.trace import Trace
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.labels import make_room
from course_app.plots.style import INK, MUTED, linear_ticks, look, only_grid, styled, ticks_up_to

#: Kind of span: what its rows are called, and the number of its look.
_KINDS = {
    "request": ("request", 6),
    "dependencies": ("dependencies", 5),
    "handler": ("handler", 0),
    "serialization": ("JSON", 4),
    "background": ("background", 5),
    "sql": ("SQL", 1),
    "connect": ("connect", 3),
    "reset": ("reset connection", 5),
    "valkey": ("Valkey", 2),
    "http": ("HTTP", 3),
    "other": ("other", 5),
}
_QUIET = "#9a9a9a"
_QUIET_KINDS = ("request", "dependencies", "handler", "reset", "other")
#: A statement repeated this often is drawn as a staircase; all of them share this many rows.
_STAIRS_FROM = 4
_STAIRS_ROWS = 8.0
_STEP_ROWS = 0.8
_MOST_ROWS = 16
_LABEL_CHARACTERS = 40
_COLUMNS = re.compile(r"^SELECT .{13,}? FROM\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Group:
    """Spans with the same parent, kind and text; ``rows`` is how high they are drawn."""

    spans: tuple[Span, ...]
    rows: float

    @property
    def busy_ms(self) -> float:
        return sum(span.duration_ms for span in self.spans)

    @property
    def label(self) -> str:
        first = self.spans[0]
        kind = _KINDS.get(first.kind, _KINDS["other"])[0]
        text = _said(first)
        label = text if first.kind == "sql" and text else f"{kind}: {text}" if text else kind
        times = f"{len(self.spans)} x " if len(self.spans) > 1 else ""
        return _shortened(times + label)


def plot_trace(result: Trace, *, title: str | None = None) -> Figure:
    """One request's spans from top to bottom in the order in which they began.

    Args:
        title: the message; the trace's own if not given.
    """
    message = title or result.message
    groups, hidden = _fitting(_groups(result.spans))
    with styled():
        canvas = titled(message)
        axes = canvas.add_subplot()
        texts, places, top = [], [], 0.0
        for group in groups:
            texts.append(_draw(axes, group, top))
            places.append(top + group.rows / 2)
            top += group.rows
        axes.set_yticks(places, [group.label for group in groups], fontsize=8)
        end = max(span.end_ms for span in result.spans)
        _finish_axes(axes, top, end, hidden)
        make_room(axes, texts)
        ticks_up_to(axes.xaxis, end * 1.02)
        return finish(canvas, message)


def _groups(spans: Sequence[Span]) -> list[_Group]:
    """Repeated spans together, even where others come in between; the rest one by one."""
    alike: dict[Hashable, list[Span]] = {}
    for span in spans:
        alike.setdefault((span.kind, span.parent, span.name, span.statement), []).append(span)
    repeated = [group for group in alike.values() if len(group) >= _STAIRS_FROM]
    single = [[s] for group in alike.values() if len(group) < _STAIRS_FROM for s in group]
    ordered = sorted(repeated + single, key=lambda group: spans.index(group[0]))
    stairs = sum(group[0].kind not in _QUIET_KINDS for group in repeated)
    height = _STAIRS_ROWS / max(stairs, 1)
    return [_Group(tuple(group), _rows(group, height)) for group in ordered]


def _rows(group: Sequence[Span], height: float) -> float:
    """Repeated spans that are not the point of the figure share one row."""
    return 1.0 if group[0].kind in _QUIET_KINDS else min(height, len(group))


def _fitting(groups: list[_Group]) -> tuple[list[_Group], int]:
    """The groups that took longest, as many as have room, and how many spans are left out."""
    kept = list(groups)
    while sum(group.rows for group in kept) > _MOST_ROWS and len(kept) > 2:
        kept.remove(min(kept, key=lambda group: group.busy_ms))
    shown = sum(len(group.spans) for group in kept)
    return kept, sum(len(group.spans) for group in groups) - shown


def _draw(axes: Axes, group: _Group, top: float) -> Annotation:
    first, number = group.spans[0], len(group.spans)
    style = look(_KINDS.get(first.kind, _KINDS["other"])[1])
    quiet = first.kind in _QUIET_KINDS
    color = _QUIET if quiet else style.color
    axes.barh(
        [top + place for place in _places(group)],
        [span.duration_ms for span in group.spans],
        left=[span.start_ms for span in group.spans],
        height=_height(group),
        color=color,
        # A line around it, so that a short span in a long request can be seen at all.
        edgecolor=color,
        linewidth=0.5,
    )
    ends = sorted(span.end_ms for span in group.spans)
    stairs = number >= _STAIRS_FROM and not quiet
    total = f"{significant(group.busy_ms)} ms"
    return axes.annotate(
        f"{number} spans, {total} in all" if number > 1 else total,
        # To the right of a staircase's middle step there is room.
        xy=(ends[number // 2] if stairs else ends[-1], top + group.rows / 2),
        xytext=(28 if stairs else 5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        fontweight="normal" if quiet else "bold",
        color=INK if quiet else style.text,
    )


def _places(group: _Group) -> list[float]:
    """The rows' middles, from the group's top: one below the other, or all in one row."""
    number = len(group.spans)
    if group.rows == 1.0:
        return [0.5] * number
    return [(i + 0.5) * group.rows / number for i in range(number)]


def _height(group: _Group) -> float:
    """Steps that follow each other may reach into each other's rows: they are seen better."""
    if group.rows == 1.0:
        return 0.72
    step = 0.9 * group.rows / len(group.spans)
    one_by_one = all(a.end_ms <= b.start_ms for a, b in pairwise(group.spans))
    return max(step, _STEP_ROWS) if one_by_one else step


def _finish_axes(axes: Axes, rows: float, end: float, hidden: int) -> None:
    axes.set_xlim(0, end)
    axes.set_ylim(rows + 0.3, -0.3)
    linear_ticks(axes.xaxis, 7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    only_grid(axes, "x")
    axes.set_xlabel("ms since the request reached the app")
    if hidden:
        axes.annotate(
            f"{hidden} shorter spans\nare not shown",
            xy=(0, 0),
            xycoords="axes fraction",
            xytext=(5, 5),
            textcoords="offset points",
            fontsize=8,
            color=MUTED,
        )


def _said(span: Span) -> str:
    if span.kind == "serialization":
        return span.name.removeprefix("fastapi.")
    if span.kind in ("request", "other", "valkey"):
        return span.name
    if span.kind == "reset":
        return ""
    # What distinguishes statements is the table and the condition, not the columns.
    return _COLUMNS.sub("SELECT … FROM", span.statement)


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"
