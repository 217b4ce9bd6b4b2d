"""A report in a terminal, and the sentences that the page shares with it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from course_app.examine.findings import Evidence, Finding, Report
from course_app.measure.statistics import significant
from course_app.words import amount

_NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CODE = re.compile(r"`([^`\n]+)`")
_SUSPECTED = "Not sure yet: measure again, or look yourself, before you change anything."
PLAIN_WIDTH = 100


def headline(report: Report) -> str:
    """What was found, in one sentence."""
    confirmed = len(report.confirmed)
    suspected = len(report.findings) - confirmed
    parts = [amount(confirmed, "confirmed finding")] if confirmed else []
    parts += [amount(suspected, "suspected finding" if not confirmed else "suspected one")] * bool(
        suspected
    )
    if parts:
        return " and ".join(parts) + (", so far." if report.partial else ".")
    if report.partial:
        return "Nothing was found so far; it was stopped, so this is no clean bill of health."
    return "Healthy: none of the causes that are looked for was found."


def asked(report: Report) -> str:
    """How much was asked, and for how long."""
    return f"{amount(len(report.routes), 'route')} asked, {report.seconds:.0f} s."


def place(finding: Finding) -> str:
    """Where in the user's code: ``read (shop/main.py:12)``, counted from the folder one is in."""
    if finding.where is None:
        return "only the route is known"
    return str(finding.where.model_copy(update={"file": nearby(finding.where.file)}))


def nearby(file: str) -> str:
    """A path from the folder one is in, where it lies below it."""
    path = Path(file)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def gain(finding: Finding) -> str:
    """What mending it can bring at most."""
    return finding.gain or "no time: it costs memory or answers, not speed"


def looks(finding: Finding) -> Iterator[tuple[str, str]]:
    """Each look and what it says; one that does not agree says so."""
    for evidence in finding.evidence:
        yield evidence.look, _said(evidence)


def _said(evidence: Evidence) -> str:
    says = evidence.says
    if evidence.value is not None:
        known = f"{evidence.value.interval}".replace("x [", " [")
        bounds = known.partition(" ")[2]
        if bounds and "[" not in says:  # else the sentence holds it, in units of its own
            unit = f" {evidence.unit}" if evidence.unit else ""
            says = f"{says.rstrip('.')}: {known}{unit}."
    return says if evidence.agrees else f"{says} (This look does not agree.)"


def caution(finding: Finding) -> str:
    """What to keep in mind about a finding that is only suspected."""
    return "" if finding.confirmed else _SUSPECTED


def lesson_title(slug: str) -> str:
    """``Lesson 02, async``."""
    return f"Lesson {slug[:2]}, {slug[3:].replace('_', ' ')}"


def lesson_file(slug: str) -> Path | None:
    """The lesson's notebook on this machine, where the course is here as a folder."""
    file = _NOTEBOOKS / f"{slug}.ipynb"
    return file if file.is_file() else None


def milliseconds(value: float | None) -> str:
    """A latency in a table."""
    return "-" if value is None else significant(value)


def crowds(report: Report) -> list[int]:
    """The numbers of clients that asked at the same time."""
    return sorted({clients for route in report.routes for clients in route.p50_ms})


def rendered(report: Report, other: Report | None = None) -> RenderableType:
    """The whole report for a terminal."""
    parts: list[RenderableType] = [*_version(report)]
    if other is not None:
        parts += [Text(), *_version(other)]
    if report.against:
        parts += [Text(), Text(f"From {report.target} to {report.against}", style="bold")]
        parts += [Text(f"  {change}") for change in report.changes]
        if not report.changes:
            parts.append(Text("  No confirmed finding came, went or stayed."))
    return Group(*parts)


def _version(report: Report) -> Iterator[RenderableType]:
    colour = "yellow" if report.partial else "green" if report.healthy else "red"
    yield Text.assemble((report.target, "bold"), ": ", (headline(report), f"bold {colour}"))
    yield Text(asked(report), style="dim")
    for number, finding in enumerate(report.findings, 1):
        yield Text()
        yield _finding(number, finding)
    if report.routes:
        yield Text()
        yield _routes(report)
    if report.not_looked_at:
        yield Text()
        yield Text("Not looked at", style="bold")
        for note in report.not_looked_at:
            yield Padding(Text(f"- {note}"), (0, 0, 0, 2))


def _finding(number: int, finding: Finding) -> RenderableType:
    style = "red" if finding.confirmed else "yellow"
    state = "confirmed" if finding.confirmed else "suspected"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", min_width=8)
    grid.add_column(overflow="fold")
    grid.add_row("route", escape(finding.route))
    grid.add_row("where", escape(place(finding)))
    if finding.where is not None and finding.where.code:
        grid.add_row("", Text(finding.where.code.strip(), style="italic"))
    for look, says in looks(finding):
        grid.add_row("seen by", escape(f"{look}: {says}"))
    grid.add_row("gain", escape(gain(finding)))
    grid.add_row("do", Text.from_markup(CODE.sub(r"[bold]\1[/bold]", escape(finding.advice))))
    if warning := caution(finding):
        grid.add_row("", escape(warning))
    grid.add_row("lesson", escape(f"{lesson_title(finding.lesson)} (course lab)"))
    title = Text.assemble((f"{number}  {finding.title}", "bold"), "  ", (state, f"bold {style}"))
    return Group(title, Padding(grid, (0, 0, 0, 3)))


def _routes(report: Report) -> RenderableType:
    table = Table(box=None, pad_edge=False, title="p50 in ms, by clients at the same time")
    table.title_justify = "left"
    table.title_style = "bold"
    table.add_column("route", overflow="fold")
    for clients in crowds(report):
        table.add_column(str(clients), justify="right")
    table.add_column("errors", justify="right")
    for route in report.routes:
        table.add_row(
            escape(route.route),
            *(milliseconds(route.p50_ms.get(clients)) for clients in crowds(report)),
            str(sum(route.errors.values())),
        )
    return table


def as_text(report: Report, other: Report | None = None) -> str:
    """The same without colours, for scripts and files."""
    written = io.StringIO()
    # In a notebook Rich would display it there instead.
    plain = Console(
        file=written, width=PLAIN_WIDTH, highlight=False, color_system=None, force_jupyter=False
    )
    plain.print(rendered(report, other))
    return written.getvalue().rstrip("\n")
