"""Notebooks as pages: figures become files, code is folded, solutions wait behind a click."""

import base64
import copy
import re
from html import escape
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from course_app.authoring.contents import EXERCISES, LESSONS, SOLUTIONS, Course, Lesson
from course_app.authoring.findings import Picture, picture
from course_app.authoring.notebook import as_text, read_notebook
from course_app.site.rendering import places, render
from course_app.site.terms import Term, link_terms

#: What is said while something is measured is over when a page is read.
_PROGRESS = re.compile(r": (done in|stopped after) [\d.]+ s")
_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')


def write_lesson(
    course: Course, lesson: Lesson, sources: Path, extra: Path, terms: list[Term]
) -> None:
    """The lesson's page below ``sources``, its figures and blank notebook below ``extra``."""
    notebook = read_notebook(course.notebook(LESSONS, lesson))
    blank = copy.deepcopy(notebook)
    figures = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata["tags"] = ["hide-input"]
        kept = []
        for output in cell.outputs:
            if (shown := picture(output)) is not None:
                figures += 1
                output.data = {"text/html": _figure(shown, extra, lesson.slug, figures)}
            elif not _shown(output):
                continue
            kept.append(output)
        cell.outputs = kept
    _begin(notebook, render("bar.html", **_bar(course, lesson)))
    link_terms(notebook, terms)
    _save(notebook, sources / LESSONS / f"{lesson.slug}.ipynb")
    for cell in blank.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    _save(blank, extra / LESSONS / f"{lesson.slug}.ipynb")


def write_exercise(course: Course, lesson: Lesson, sources: Path, terms: list[Term]) -> None:
    """The exercise's page: its text and code, and what only the solution has, folded."""
    notebook = read_notebook(course.notebook(EXERCISES, lesson))
    known = {cell.source for cell in notebook.cells}
    solution = read_notebook(course.notebook(SOLUTIONS, lesson))
    told = [_folded(cell) for cell in solution.cells if cell.source not in known]
    text = "\n\n".join(["<details><summary>Show our solution</summary>", *told, "</details>"])
    _begin(notebook, render("exercise_bar.html", lesson=lesson, places=places(course)))
    link_terms(notebook, terms)
    notebook.cells += [_markdown("## Our solution"), _markdown(text)]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    _save(notebook, sources / EXERCISES / f"{lesson.slug}.ipynb")


def _markdown(text: str) -> NotebookNode:
    cell: NotebookNode = new_markdown_cell(text)  # type: ignore[no-untyped-call]
    return cell


def _folded(cell: Any) -> str:
    return f"```python\n{cell.source}\n```" if cell.cell_type == "code" else str(cell.source)


def _begin(notebook: NotebookNode, bar: str) -> None:
    """Put the bar below the title."""
    title, _, rest = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"{title}\n\n{bar}\n\n{rest.lstrip()}"


def _bar(course: Course, lesson: Lesson) -> dict[str, Any]:
    """Where a lesson stands on the path, from the table of contents."""
    index = course.lessons.index(lesson)
    return {
        "lesson": lesson,
        "number": index + 1,
        "count": len(course.lessons),
        "before": sum(each.minutes for each in course.lessons[:index]),
        "all": sum(each.minutes for each in course.lessons),
        "exercise": course.is_built(EXERCISES, lesson),
        "places": places(course),
    }


def _shown(output: Any) -> bool:
    data = output.get("data", {})
    if set(data) == {"text/plain"} and _PROGRESS.search(data["text/plain"]):
        return False
    for mime in set(data) - {"text/html", "text/plain"}:
        del data[mime]
    return output.output_type != "display_data" or bool(data)


def _figure(shown: Picture, extra: Path, slug: str, number: int) -> str:
    kind, _, data = shown.uri.partition(";base64,")
    content = base64.b64decode(data)
    name = f"{slug}-{number}.{'svg' if kind.endswith('svg+xml') else 'png'}"
    folder = extra / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    size = _SIZE.search(content[:2000].decode(errors="replace")) if name.endswith("svg") else None
    ratio = f"aspect-ratio:{size[1]}/{size[2]}" if size else ""
    return (
        f'<img class="course-figure" id="figure-{number}" src="../figures/{name}" '
        f'width="{shown.width}" style="{ratio}" loading="lazy" '
        f'alt="{escape(shown.title, quote=True)}">'
    )


def _save(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(notebook), encoding="utf-8")
