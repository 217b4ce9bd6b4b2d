"""Figures that the README shows, taken from executed lessons.

A cell with the tag ``readme`` gives its picture to ``docs/figures/SLUG.svg``. So the front page
shows what a lesson really measured, and nobody copies pictures by hand.
"""

from pathlib import Path

from nbformat import NotebookNode

from course_app.authoring.findings import picture

README_TAG = "readme"


def save_figures(notebook: NotebookNode, root: Path, slug: str) -> list[Path]:
    """Write the pictures of tagged cells below ``root``; returns the files."""
    pictures = [
        shown.svg
        for cell in notebook.cells
        if README_TAG in cell.metadata.get("tags", ())
        for output in cell.get("outputs", ())
        if (shown := picture(output)) and shown.svg
    ]
    return [_save(svg, _path(root, slug, number)) for number, svg in enumerate(pictures)]


def _path(root: Path, slug: str, number: int) -> Path:
    suffix = f"_{number + 1}" if number else ""
    return root / "docs" / "figures" / f"{slug}{suffix}.svg"


def _save(svg: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(svg, encoding="utf-8")
    return path
