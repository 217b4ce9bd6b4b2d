"""A report as one HTML page that needs nothing else, and as a part of a notebook."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from course_app.examine import terminal
from course_app.examine.findings import Finding, Report
from course_app.examine.terminal import CODE

_TEMPLATES = (
    Path(__file__).parent / "templates",
    Path(__file__).parents[1] / "authoring" / "templates",
)
_STRIP_WIDTH, _STRIP_MARGIN = 300, 8


def write_page(report: Report, file: Path, other: Report | None = None) -> Path:
    """Write the page; returns its whole path.

    Raises:
        OSError: it cannot be written there.
    """
    file = file.expanduser().absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(report, other), encoding="utf-8")
    return file


def page(report: Report, other: Report | None = None) -> str:
    """The page's HTML."""
    versions = [report] if other is None else [report, other]
    return (
        _environment(link=_link)
        .get_template("report.html")
        .render(report=report, versions=versions, now=datetime.now().astimezone())
    )


def fragment(report: Report, other: Report | None = None) -> str:
    """The same for a notebook's output: it brings its style, and leaves the notebook's alone.

    Lessons are named, not linked: browsers follow no link from Jupyter's page to a file, and a
    notebook may be read on another machine.
    """
    versions = [report] if other is None else [report, other]
    template = _environment(link=lambda _finding: "").get_template("fragment.html")
    return template.render(report=report, versions=versions)


def _environment(link: Callable[[Finding], str]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(t=terminal, strip=_strip, link=link)
    environment.filters["code"] = _code
    return environment


def _code(text: str) -> Markup:
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))


def _link(finding: Finding) -> str:
    """Where the lesson is on this machine; empty where it is not."""
    file = terminal.lesson_file(finding.lesson)
    return file.as_uri() if file else ""


def _strip(finding: Finding, most: float) -> Markup:
    """The interval of what it costs on a log axis from 1x, alike for all findings of a page."""
    bound = finding.at_most
    known = all(math.isfinite(x) and x > 0 for x in (bound.low, bound.estimate))
    if not finding.gain or not known:
        return Markup("")
    width = math.log(max(most, 2.0))

    def x(value: float) -> float:
        inside = min(max(math.log(max(value, 1e-9)) / width, 0.0), 1.0)
        return round(_STRIP_MARGIN + inside * (_STRIP_WIDTH - 2 * _STRIP_MARGIN), 1)

    return Markup(
        '<svg class="strip" viewBox="0 0 {w} 22" preserveAspectRatio="xMinYMid" '
        'role="img" aria-label="{label}">'
        '<line x1="{m}" x2="{end}" y1="11" y2="11" class="axis"/>'
        '<line x1="{m}" x2="{m}" y1="4" y2="18" class="one"/>'
        '<line x1="{low}" x2="{high}" y1="11" y2="11" class="interval"/>'
        '<circle cx="{at}" cy="11" r="4.5" class="dot"/></svg>'
    ).format(
        w=_STRIP_WIDTH,
        m=_STRIP_MARGIN,
        end=_STRIP_WIDTH - _STRIP_MARGIN,
        low=x(bound.low),
        high=x(bound.high),
        at=x(bound.estimate),
        label=finding.gain,
    )
