"""What all measured results share: a title, tables for people, JSON for programs, a figure.

A result does not know how to draw itself: the plots room registers a figure for each type
of result, so that measuring never imports matplotlib.
"""

import html
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

Row = Sequence[str]
#: So many columns, names included, fit on a page of 800 pixels.
_MOST_COLUMNS = 7
_FIGURES: dict[type["Result"], Callable[..., Any]] = {}


class Result(ABC):
    """A measured result: shown as a table, readable by programs, drawn by ``plot``; a dataclass.

    Attributes:
        more: what is said of the rows that are folded, after their number.
    """

    more = "more"

    @property
    @abstractmethod
    def columns(self) -> Row:
        """The table's head."""

    @property
    @abstractmethod
    def message(self) -> str:
        """One sentence that says what was measured and what came out."""

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """The table's cells, as text; the first column names the row."""

    def more_rows(self) -> Sequence[Row]:
        """Rows that do not answer the question: folded in a notebook, counted in a terminal."""
        return ()

    def notes(self) -> Sequence[str]:
        """Short remarks shown below the table: noise, errors, the generator's load."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """All that was measured, as values that JSON can hold, under the names of the fields."""
        return {"type": type(self).__name__, **_plain(self)}

    def to_json(self) -> str:
        """The result as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def plot(self, **options: Any) -> Any:
        """The figure for this type of result. Its options are those of the plots room.

        Raises:
            LookupError: no figure is registered (``import course_app.plots`` registers them).
        """
        for cls in type(self).__mro__:
            if cls in _FIGURES:
                return _FIGURES[cls](self, **options)
        raise LookupError(
            f"No figure is known for {type(self).__name__}: import course_app.plots first."
        )

    def __str__(self) -> str:
        body = text_table(self.columns, self.rows())
        more = [f"and {len(self.more_rows())} {self.more}"] if self.more_rows() else []
        return "\n".join([self.message, body, *more, *self.notes()])

    def _repr_html_(self) -> str:
        return html_table(
            self.message, self.columns, self.rows(), self.notes(), self.more_rows(), self.more
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # Not _repr_pretty_: IPython prefers the __repr__ that a dataclass has, with all raw values.
        return {"text/plain": str(self), "text/html": self._repr_html_()}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: records as their fields, what is not known (NaN) as null."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    elif hasattr(value, "tolist"):  # an array
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def register_plot(result_type: type[Result], draw: Callable[..., Any]) -> None:
    """Let ``result.plot()`` of this type of result call ``draw(result, **options)``."""
    _FIGURES[result_type] = draw


def figure(value: float, form: str = ".2f") -> str:
    """A number in that form, or a dash where nothing was answered that could have one."""
    return "-" if math.isnan(value) else format(value, form)


def a_second(throughput: float) -> str:
    """Requests per second; digits behind the point where slow apps would have none at all."""
    return figure(throughput, ",.0f" if throughput >= 10 else ".2g")


def _is_wide(columns: Row, rows: Sequence[Row]) -> bool:
    """Columns would be cut off at a page's edge: they become lines, if these are fewer."""
    return len(columns) > max(_MOST_COLUMNS, len(rows))


def _turned(columns: Row, rows: Sequence[Row]) -> tuple[Row, Sequence[Row]]:
    head, *lines = zip(columns, *rows, strict=True)
    return head, lines


def text_table(columns: Row, rows: Sequence[Row]) -> str:
    """A table in plain text: first column to the left, numbers to the right."""
    if not rows:
        return ""
    if _is_wide(columns, rows):
        columns, rows = _turned(columns, rows)
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]

    def render(line: Row) -> str:
        first = line[0].ljust(widths[0])
        others = (cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))
        return "  ".join([first, *others]).rstrip()

    return "\n".join(render(line) for line in lines)


def html_table(
    caption: str,
    columns: Row,
    rows: Sequence[Row],
    notes: Sequence[str],
    more_rows: Sequence[Row] = (),
    more: str = "more",
) -> str:
    """The same table in HTML, with plain inline styles that survive an export.

    Args:
        more_rows: are folded below the table; ``more`` says what they are.
    """
    wide = _is_wide(columns, rows)
    cell = "padding:.2em .8em;text-align:{};border-bottom:1px solid #8884"

    def render(line: Row, tag: str) -> str:
        cells = (
            f'<{tag} style="{cell.format("right" if i else "left")}">{html.escape(text)}</{tag}>'
            for i, text in enumerate(line)
        )
        return f"<tr>{''.join(cells)}</tr>"

    def table(lines: Sequence[Row]) -> str:
        names, lines = _turned(columns, lines) if wide and lines else (columns, lines)
        head = render(names, "th") if lines else ""
        body = "".join(render(line, "td") for line in lines)
        return (
            '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
            f"<thead>{head}</thead><tbody>{body}</tbody></table>"
        )

    summary = f"<summary>and {len(more_rows)} {html.escape(more)}</summary>"
    folded = f"<details>{summary}{table(more_rows)}</details>" if more_rows else ""
    remarks = "<br>".join(html.escape(note) for note in notes)
    return (
        f'<p style="margin:.3em 0"><strong>{html.escape(caption)}</strong></p>'
        f"{table(rows)}{folded}"
        f'<p style="margin:.3em 0;font-size:.85em;opacity:.75">{remarks}</p>'
    )
