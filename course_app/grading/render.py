"""How scorecards look: HTML in a notebook, a Rich table in a terminal, plain text elsewhere."""

import html
import re
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from course_app.grading.evidence import Outcome

if TYPE_CHECKING:
    from course_app.grading.scorecard import CriterionResult, Scorecard

_CODE = re.compile(r"`([^`\n]+)`")

# Okabe-Ito colours. Each outcome also has a sign and a word: colour is never the only difference.
_SIGNS = {
    Outcome.PASSED: ("✓", "#009E73", "green"),
    Outcome.FAILED: ("✗", "#D55E00", "red"),
    Outcome.NOT_ATTEMPTED: ("·", "#777777", "dim"),
    Outcome.CANNOT_TELL: ("?", "#E69F00", "yellow"),
    Outcome.COULD_NOT_CHECK: ("!", "#CC79A7", "magenta"),
    Outcome.NOT_RUN: ("–", "#777777", "dim"),
}


def scorecard_text(card: "Scorecard") -> str:
    """Plain text, one or more lines a criterion."""
    lines = [card.message]
    for result in card.results:
        sign = _SIGNS[result.outcome][0]
        lines.append(f"{sign} {_points(result):>7}  {result.title} ({result.outcome})")
        lines += [f"{'':11}{line}" for line in details(result)]
    return "\n".join([*lines, *card.notes])


def scorecard_table(card: "Scorecard") -> Group:
    """A Rich table for the terminal."""
    table = Table(box=None, padding=(0, 1), show_header=False, expand=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for result in card.results:
        sign, _, style = _SIGNS[result.outcome]
        body = Text(f"{result.title} ({result.outcome})")
        for line in details(result):
            body.append(f"\n{line}", style="dim" if not line.startswith("Hint") else "")
        body.highlight_regex(_CODE, "cyan")
        table.add_row(Text(sign, style=style), _points(result), body)
    style = _SIGNS[card.outcome][2]
    notes = [Text(note, style="dim") for note in card.notes]
    return Group(Text(card.message, style=f"bold {style}"), table, *notes)


def scorecard_html(card: "Scorecard") -> str:
    """A table with plain inline styles, which survive an export."""
    rows = "".join(_row(result) for result in card.results)
    notes = "<br>".join(html.escape(note) for note in card.notes)
    return (
        f'<div style="margin:.4em 0">{_badge(card.outcome)} '
        f"<strong>{html.escape(card.message)}</strong></div>"
        f'<table style="border-collapse:collapse">{rows}</table>'
        f'<p style="margin:.4em 0;font-size:.85em;opacity:.75">{notes}</p>'
    )


def details(result: "CriterionResult") -> list[str]:
    """What the learner reads below a criterion's title."""
    lines = []
    if result.summary:
        lines.append(result.summary)
    if result.observed:
        wanted = f"; wanted: {result.wanted}" if result.wanted else ""
        lines.append(f"Observed: {result.observed}{wanted}")
    if result.hint:
        lines.append(f"Hint: {result.hint}")
    return lines


def _row(result: "CriterionResult") -> str:
    cell = (
        'style="padding:.35em .8em;text-align:left;vertical-align:top;border-top:1px solid #8884"'
    )
    body = "".join(
        f'<div style="font-size:.9em;opacity:.85;white-space:pre-wrap">{marked(line)}</div>'
        for line in details(result)
    )
    points = f'<span style="white-space:nowrap">{_points(result)}</span>'
    return (
        f"<tr><td {cell}>{_badge(result.outcome)}</td><td {cell}>{points}</td>"
        f"<td {cell}>{marked(result.title)}{body}</td></tr>"
    )


def marked(text: str) -> str:
    """What authors write between backticks, as code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(text))


def _badge(outcome: Outcome) -> str:
    sign, colour, _ = _SIGNS[outcome]
    return f'<span style="color:{colour};white-space:nowrap">{sign} {outcome}</span>'


def _points(result: "CriterionResult") -> str:
    return f"{result.earned:g} / {result.points:g}"
