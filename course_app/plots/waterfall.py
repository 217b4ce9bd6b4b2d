"""A trace as a waterfall: one row a span, repeated statements as a staircase."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.text import Annotation

from course_app.measure.trace import Span, Trace
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
    "valkey": ("Valkey", 2),
    "http": ("HTTP", 3),
    "other": ("other", 5),
}
_QUIET = "#9a9a9a"
#: Heights in rows: a staircase gets this much, however many steps it has.
_STAIRS_ROWS = 7.0
_STAIRS_FROM = 4
_MOST_ROWS = 16
_LABEL_CHARACTERS = 40
_COLUMNS = re.compile(r"^SELECT .{13,}? FROM\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Group:
    """Spans that follow each other with the same kind and text; often only one."""

    spans: tuple[Span, ...]

    @property
    def rows(self) -> float:
        return _STAIRS_ROWS if len(self.spans) >= _STAIRS_FROM else float(len(self.spans))

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
    groups: list[list[Span]] = []
    for span in spans:
        if groups and _alike(groups[-1][0], span):
            groups[-1].append(span)
        else:
            groups.append([span])
    return [_Group(tuple(group)) for group in groups]


def _alike(a: Span, b: Span) -> bool:
    return (a.kind, a.parent, a.name, a.statement) == (b.kind, b.parent, b.name, b.statement)


def _fitting(groups: list[_Group]) -> tuple[list[_Group], int]:
    """The groups that took longest, as many as have room, and how many spans are left out."""
    kept = list(groups)
    while sum(group.rows for group in kept) > _MOST_ROWS and len(kept) > 2:
        kept.remove(min(kept, key=lambda group: group.busy_ms))
    shown = sum(len(group.spans) for group in kept)
    return kept, sum(len(group.spans) for group in groups) - shown


def _draw(axes: Axes, group: _Group, top: float) -> Annotation:
    step = group.rows / len(group.spans)
    first = group.spans[0]
    style = look(_KINDS.get(first.kind, _KINDS["other"])[1])
    quiet = first.kind in ("request", "dependencies", "handler", "other")
    axes.barh(
        [top + (i + 0.5) * step for i in range(len(group.spans))],
        [span.duration_ms for span in group.spans],
        left=[span.start_ms for span in group.spans],
        height=0.72 * step if len(group.spans) < _STAIRS_FROM else 0.95 * step,
        color=_QUIET if quiet else style.color,
        linewidth=0,
    )
    stairs = len(group.spans) >= _STAIRS_FROM
    # To the right of a staircase's middle step there is room.
    middle = sorted(group.spans, key=lambda span: span.end_ms)[len(group.spans) // 2]
    last = middle if stairs else max(group.spans, key=lambda span: span.end_ms)
    total = f"{group.busy_ms:.3g} ms"
    text = f"{len(group.spans)} spans, {total} in all" if len(group.spans) > 1 else total
    return axes.annotate(
        text,
        xy=(last.end_ms, top + group.rows / 2),
        xytext=(14 if stairs else 5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        fontweight="normal" if quiet else "bold",
        color=INK if quiet else style.text,
    )


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
    # What distinguishes statements is the table and the condition, not the columns.
    return _COLUMNS.sub("SELECT … FROM", span.statement)


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL_CHARACTERS else text[: _LABEL_CHARACTERS - 1] + "…"
