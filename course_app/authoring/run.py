"""Run lessons one after another and report on them: what ``course run`` does.

Lessons are run as content/ has them now; the committed notebooks are not touched.
"""

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nbformat import NotebookNode

from course_app.authoring.build import plan
from course_app.authoring.contents import LESSONS, Course, Lesson
from course_app.authoring.execute import CELL_LIMIT_SECONDS, CellFailed, execute
from course_app.authoring.findings import Findings, findings
from course_app.errors import CourseError

REPORT_FOLDER = "build/report"
REPORT_DATA = "report.json"

#: The heading under which a lesson's end is optional; it begins a cell.
GOING_FURTHER = "## Going further"

#: A first guess at a lesson's running time, for the remaining time that is shown.
USUAL_LESSON_SECONDS = 50.0


@dataclass(frozen=True)
class LessonRun:
    """One lesson's run. ``notebook`` is what was executed, up to the failure if there is one."""

    lesson: Lesson
    seconds: float
    notebook: NotebookNode
    failure: CourseError | None

    @property
    def findings(self) -> Findings:
        """Verdicts, figures and machine card of the run."""
        return findings(self.notebook)


def core_of(notebook: NotebookNode) -> NotebookNode:
    """A copy without what goes further than the lesson has to."""
    core = copy.deepcopy(notebook)
    headings = (cell.source.startswith(GOING_FURTHER) for cell in core.cells)
    end = next((index for index, found in enumerate(headings) if found), len(core.cells))
    core.cells = core.cells[:end]
    return core


def run_lessons(
    course: Course,
    lessons: Sequence[Lesson],
    *,
    cell_seconds: float = CELL_LIMIT_SECONDS,
    core: bool = False,
    progress: Callable[[Lesson, int, int], object],
) -> Iterator[LessonRun]:
    """Run each lesson that has a content file; a failing one does not stop the others.

    Args:
        cell_seconds: the longest that one cell may take.
        core: leave out what goes further.
        progress: called with the lesson, the number of its cells that are done, and of all.

    Raises:
        CourseError: a content file cannot be built into a notebook.
    """
    for planned in [x for x in plan(course, lessons) if x.tree == LESSONS]:
        lesson, began = planned.lesson, time.monotonic()
        failure: CourseError | None = None
        notebook = core_of(planned.notebook) if core else planned.notebook
        try:
            notebook = execute(
                notebook,
                name=lesson.slug,
                root=course.root,
                cell_seconds=cell_seconds,
                progress=partial(progress, lesson),
            )
        except CourseError as error:
            failure = error
            notebook = error.notebook if isinstance(error, CellFailed) else notebook
        yield LessonRun(lesson, time.monotonic() - began, notebook, failure)


def expected_seconds(course: Course, lessons: Sequence[Lesson]) -> dict[str, float]:
    """How long each lesson will take, by slug: as in the last report, else a usual time."""
    known: dict[str, float] = {}
    try:
        data = json.loads((course.root / REPORT_FOLDER / REPORT_DATA).read_text(encoding="utf-8"))
        known = {entry["slug"]: float(entry["seconds"]) for entry in data["lessons"]}
    except (OSError, ValueError, LookupError, TypeError):
        pass  # no report yet, or somebody else's: a guess will do
    return {x.slug: known.get(x.slug, USUAL_LESSON_SECONDS) for x in lessons}


def report_folder(course: Course) -> Path:
    """Where ``course run`` writes."""
    return course.root / REPORT_FOLDER
