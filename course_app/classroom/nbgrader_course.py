"""The exercises as an nbgrader course: source notebooks with its metadata, and its settings.

The check's points are the value of the graded cell, which nbgrader takes for partial credit.
nbgrader runs submissions in an ordinary kernel: what they patch there can change their points.
``course grade`` does not have that weakness.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_app.authoring.contents import Course, Lesson
from course_app.authoring.markers import BLANK, END, SOLUTION, split
from course_app.authoring.notebook import as_text, make_notebook, read_notebook
from course_app.authoring.pasting import paste
from course_app.errors import CourseError

SCHEMA_VERSION = 3
BEGIN_REGION, END_REGION = "### BEGIN SOLUTION", "### END SOLUTION"
_CHECK = re.compile(r"^check\(.*\)$", re.MULTILINE | re.DOTALL)

CONFIG = '''"""nbgrader's configuration for the exercises of this course."""

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "fastapi-performance"
# A released cell keeps its blank function; nothing is put in the place of the answer.
c.ClearSolutions.code_stub = {"python": "# Your answer goes into the function above."}
# A check takes a quarter of a minute; a cell that hangs must not stop the class.
c.Execute.timeout = 180
c.Execute.interrupt_on_timeout = True
c.NbGrader.logfile = ".nbgrader.log"
'''


def write_course(course: Course, lessons: Sequence[Lesson], folder: Path) -> dict[Path, str]:
    """Write ``source/NN_slug/NN_slug.ipynb`` for each exercise, and nbgrader_config.py.

    Returns:
        What was done to each notebook, in words: one that an instructor edited is kept.

    Raises:
        CourseError: an exercise's text has a mistake, the folder holds another course, or what
            lies in a notebook's place is none.
    """
    config = folder / "nbgrader_config.py"
    if config.exists() and config.read_text(encoding="utf-8") != CONFIG:
        raise CourseError(f"{config} is somebody else's. Name an empty folder.")
    outcomes = {}
    for lesson in lessons:
        path = folder / "source" / lesson.slug / f"{lesson.slug}.ipynb"
        outcomes[path] = _write(path, source_notebook(course, lesson))
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(CONFIG, encoding="utf-8")
    return outcomes


def _write(path: Path, notebook: NotebookNode) -> str:
    if path.exists() and _edited(read_notebook(path)):
        return "kept: it was edited since; delete it to have it written anew"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(notebook), encoding="utf-8")
    return "written"


def _edited(notebook: NotebookNode) -> bool:
    """It differs from what was written, by the note in it."""
    return bool(notebook.metadata.get("course", {}).get("nbgrader") != _digest(notebook))


def _digest(notebook: NotebookNode) -> str:
    """Of what nbgrader takes from a notebook: its own metadata, too, such as changed points."""
    cells = [[x.cell_type, x.source, x.metadata.get("nbgrader")] for x in notebook.cells]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:16]


def source_notebook(course: Course, lesson: Lesson) -> NotebookNode:
    """An exercise with its answers between nbgrader's marks, and with a graded cell.

    Raises:
        CourseError: the exercise's text has a mistake.
    """
    source = course.source("exercises", lesson)
    text = source.read_text(encoding="utf-8")
    split(text, source.name)  # refuses misplaced markers
    lines = [
        {BLANK: "", SOLUTION: BEGIN_REGION, END: END_REGION}.get(line, line)
        for _, line in paste(text, source.name)
    ]
    notebook = make_notebook("\n".join(lines) + "\n", f"nbgrader-{lesson.slug}")
    graded = [cell for cell in map(_marked, notebook.cells, [lesson] * len(notebook.cells)) if cell]
    if len(graded) != 1:
        raise CourseError(f"{source.name}: nbgrader needs one cell with check(...), not several.")
    notebook.metadata["course"]["nbgrader"] = _digest(notebook)
    return notebook


def _marked(cell: Any, lesson: Lesson) -> bool:
    """Give a cell nbgrader's metadata, if it is an answer or the check; is it the check?"""
    if cell.cell_type != "code":
        return False
    checks = bool(_CHECK.search(cell.source))
    if checks:
        # The value of the last line is what nbgrader takes for the points.
        cell.source = cell.source.replace("import check", "import points")
        cell.source = _CHECK.sub(
            lambda found: found[0].replace("check(", "points(", 1), cell.source
        )
        cell.metadata["nbgrader"] = _metadata(lesson, "check", grade=True, points=lesson.points)
    elif BEGIN_REGION in cell.source:
        cell.metadata["nbgrader"] = _metadata(lesson, cell.id, grade=False)
    return checks


def _metadata(
    lesson: Lesson, name: str, *, grade: bool, points: int | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "grade": grade,
        "grade_id": f"{lesson.slug}-{name}",
        "locked": grade,
        "schema_version": SCHEMA_VERSION,
        "solution": not grade,
        "task": False,
    }
    return metadata if points is None else {**metadata, "points": points}
