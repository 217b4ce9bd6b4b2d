"""The pages of a report: the index, and each executed lesson as HTML.

nbconvert's pages fetch scripts from elsewhere and do not follow the reader's colour scheme,
so a small template shows the cells instead.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_app.authoring.findings import NOT_MEASURED, picture
from course_app.authoring.notebook import as_text
from course_app.authoring.report import LessonEntry, Report
from course_app.authoring.run import REPORT_DATA, report_folder
from course_app.authoring.templating import templates

#: Where the course's notebooks are, seen from the folder of the report.
_NOTEBOOKS = "../../notebooks"

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LINK = re.compile(r'\b(href|src)="(?![a-z]+:|[#/])([^"]+)"')
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
_HIGHLIGHT: dict[str, Any] = {"wrapcode": True, "cssclass": "code"}


def write_report(report: Report) -> Path:
    """Write index.html, a page and a notebook per lesson, and report.json; returns the first.

    Everything is in the files themselves: no script, no font and no style from elsewhere.
    Pages of an earlier run go.
    """
    folder = report_folder(report.course)
    data = json.dumps(report.to_dict(), indent=1, ensure_ascii=False)
    files = {REPORT_DATA: data + "\n", "index.html": index_page(report)}
    for entry in report.entries:
        files[f"{entry.slug}.html"] = lesson_page(report, entry)
        files[f"{entry.slug}.ipynb"] = as_text(entry.run.notebook)
    # Only now that all of them are made: an earlier run's stay if one cannot be.
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.html"), *folder.glob("*.ipynb")]:
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "index.html"


def index_page(report: Report) -> str:
    """The report's front page."""
    return _environment().get_template("index.html").render(report=report)


def lesson_page(report: Report, entry: LessonEntry) -> str:
    """An executed lesson: its text, code and outputs."""
    slugs = {other.slug for other in report.entries}
    template = _environment().get_template("lesson.html")
    return template.render(report=report, entry=entry, cells=list(_cells(entry, slugs)))


def _environment() -> Environment:
    environment = templates()
    environment.globals.update(not_measured=NOT_MEASURED, code_style=_code_style())
    environment.filters["duration"] = duration
    return environment


def duration(seconds: float) -> str:
    """``48 s`` or ``3 min 5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _cells(entry: LessonEntry, slugs: set[str]) -> Iterator[dict[str, Any]]:
    for number, cell in enumerate(entry.run.notebook.cells):
        if cell.cell_type == "markdown":
            html = _linked(_MARKDOWN.render(cell.source), slugs)
            yield {"number": number, "text": Markup(html)}
        elif cell.cell_type == "code" and cell.source.strip():
            code = highlight(cell.source, PythonLexer(), HtmlFormatter(**_HIGHLIGHT))
            shown = [Markup(html) for output in cell.outputs if (html := _output(output))]
            yield {"number": number, "code": Markup(code), "outputs": shown}


def _linked(html: str, slugs: set[str]) -> str:
    """Links that are relative to notebooks/, made relative to the report."""

    def moved(match: re.Match[str]) -> str:
        kind, target = match.groups()
        path, hash_sign, place = target.partition("#")
        stem = path.removesuffix(".ipynb")
        there = f"{stem}.html" if stem in slugs else posixpath.join(_NOTEBOOKS, path)
        return f'{kind}="{posixpath.normpath(there)}{hash_sign}{place}"'

    return _LINK.sub(moved, html)


def _output(output: Any) -> str:
    """The richest form of one output that needs no script."""
    if output.output_type == "stream":
        return f'<pre class="{output.name}">{escape(_plain(output.text))}</pre>'
    if output.output_type == "error":
        return f'<pre class="error">{escape(_plain(chr(10).join(output.traceback)))}</pre>'
    if (figure := picture(output)) is not None:
        width = figure.width
        return f'<img src="{figure.uri}" alt="{escape(figure.title)}" width="{width}">'
    if html := output.data.get("text/html"):
        return f'<div class="rich">{html}</div>'
    if text := output.data.get("text/markdown"):
        return f'<div class="rich">{_MARKDOWN.render(text)}</div>'
    return f"<pre>{escape(_plain(output.data.get('text/plain', '')))}</pre>"


def _plain(text: str) -> str:
    return _ANSI.sub("", text)


def _code_style() -> Markup:
    light = HtmlFormatter(style="friendly", **_HIGHLIGHT).get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark", **_HIGHLIGHT).get_style_defs(".code")
    return Markup(f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}")
