"""Figures that the README shows, taken from executed lessons.

A cell with the tag ``readme`` gives its picture to ``docs/figures/SLUG.svg``, or, where it has
none, its text as a terminal shows it. So the front page shows what a lesson really measured, and
nobody copies pictures by hand.
"""

import re
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from rich.console import Console
from rich.text import Text

from course_app.authoring.findings import picture
from course_app.system.files import replace_file

README_TAG = "readme"
#: Rich's pictures load a font from the network, which a front page must not.
_FONT_FACES = re.compile(r"@font-face\s*{[^}]*}\s*")


def save_figures(notebook: NotebookNode, root: Path, slug: str) -> list[Path]:
    """Write the pictures of tagged cells below ``root``; returns the files."""
    pictures = [
        svg
        for cell in notebook.cells
        if README_TAG in cell.metadata.get("tags", ())
        for output in cell.get("outputs", ())
        if (svg := _picture(output))
    ]
    return [_save(svg, _path(root, slug, number)) for number, svg in enumerate(pictures)]


def _picture(output: Any) -> str:
    """The picture of an output; empty if there is none."""
    if shown := picture(output):
        return shown.svg or ""
    text = "".join(output.get("data", {}).get("text/plain", ""))
    return _terminal(text) if text else ""


def _terminal(text: str) -> str:
    """A text as a terminal shows it."""
    lines = text.strip("\n").splitlines()
    width = max(map(len, lines))
    console = Console(record=True, width=width, file=StringIO(), highlight=False)
    console.print(Text("\n".join(lines)))
    svg = _FONT_FACES.sub("", console.export_svg(title=""))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(lines[0])}" ', 1)


def _path(root: Path, slug: str, number: int) -> Path:
    suffix = f"_{number + 1}" if number else ""
    return root / "docs" / "figures" / f"{slug}{suffix}.svg"


def _save(svg: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return replace_file(path, svg)
