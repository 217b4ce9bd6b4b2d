"""The three notebook trees, built from content/ and compared with it.

A notebook that somebody edited by hand is never overwritten unless asked for: in exercises/
it may hold a learner's work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from nbformat import NotebookNode

from course_app.authoring.contents import (
    EXERCISES,
    LESSONS,
    SOLUTIONS,
    TREES,
    Course,
    Lesson,
)
from course_app.authoring.execute import Progress, execute
from course_app.authoring.figures import save_figures
from course_app.authoring.machine_paths import scrub
from course_app.authoring.markers import leaks, split
from course_app.authoring.notebook import (
    as_text,
    edited_by_hand,
    fingerprint,
    has_outputs,
    keep_outputs,
    make_notebook,
    read_notebook,
)
from course_app.errors import CourseError
from course_app.system.files import replace_file


class Outcome(Enum):
    """What building did to one file; the value is what a reader sees."""

    UNCHANGED = "unchanged"
    WRITTEN = "written"
    OUTPUTS_DROPPED = "written; its code changed, so its outputs are gone: build with --execute"
    KEPT = "kept: it was edited by hand; --force overwrites it"


@dataclass(frozen=True)
class Planned:
    """A notebook that content/ says should be there, not yet written."""

    lesson: Lesson
    tree: str
    source: Path
    target: Path
    notebook: NotebookNode

    @property
    def name(self) -> str:
        """``notebooks/04_connection_pooling.ipynb``."""
        return f"{self.tree}/{self.target.name}"


def plan(course: Course, lessons: Sequence[Lesson]) -> list[Planned]:
    """All notebooks of these lessons, in memory. Lessons without a content file have none.

    Raises:
        CourseError: a source has a mistake, or an exercise gives its answer away.
    """
    return [x for lesson in lessons for x in (*_lesson(course, lesson), *_exercise(course, lesson))]


def edited(planned: Planned) -> bool:
    """The file on disk has cells that neither a build wrote nor its source has now.

    Raises:
        CourseError: the file is no notebook.
    """
    if not planned.target.exists():
        return False
    old = read_notebook(planned.target)
    # Not by ids: an editor that knows none writes the same cells without them.
    return edited_by_hand(old) and fingerprint(old) != fingerprint(planned.notebook)


def executed(planned: Planned, course: Course, cell_seconds: float, progress: Progress) -> Planned:
    """The same notebook with the outputs of a run, fit to be committed; saves README figures.

    Raises:
        CourseError: a cell failed, or an output holds a path of this machine.
    """
    name = planned.lesson.slug
    notebook = execute(
        planned.notebook,
        name=name,
        root=course.root,
        cell_seconds=cell_seconds,
        progress=progress,
    )
    scrub(notebook, course.root, name)
    save_figures(notebook, course.root, name)
    return replace(planned, notebook=notebook)


def write(planned: Planned, *, force: bool = False) -> Outcome:
    """Bring one file in line with its source. Outputs on disk stay as long as the code does,
    unless the planned notebook brings its own.

    Args:
        force: overwrite also what was edited by hand or cannot be read.

    Raises:
        CourseError: the file on disk is no notebook.
    """
    if not planned.target.exists():
        return _save(planned, Outcome.WRITTEN)
    try:
        if not force and edited(planned):
            return Outcome.KEPT
        old = read_notebook(planned.target)
    except CourseError:
        if force:
            return _save(planned, Outcome.WRITTEN)
        raise
    if planned.tree != LESSONS or has_outputs(planned.notebook):
        return _save(planned, Outcome.WRITTEN)
    lost = not keep_outputs(old, planned.notebook) and has_outputs(old)
    return _save(planned, Outcome.OUTPUTS_DROPPED if lost else Outcome.WRITTEN)


def differences(course: Course, lessons: Sequence[Lesson] | None = None) -> list[str]:
    """Where the notebook trees differ from content/: a sentence each; outputs do not count.

    Args:
        lessons: look at theirs only, and not for notebooks that no lesson has.
    """
    planned = plan(course, course.lessons if lessons is None else lessons)
    found = [said for x in planned if (said := _difference(x))]
    return found + (_left_over(course, planned) if lessons is None else [])


def _left_over(course: Course, planned: Sequence[Planned]) -> list[str]:
    return [
        f"{path.parent.name}/{path.name} has no source in content/ any more: delete it."
        for tree in TREES
        for path in sorted((course.root / tree).glob("*.ipynb"))
        if path not in {x.target for x in planned} and "course" in read_notebook(path).metadata
    ]


def _sources(notebook: NotebookNode) -> list[tuple[str, str, str]]:
    """What a comparison looks at: each cell's id, kind and source.

    Some editors still write notebooks of a format that has no ids.
    """
    return [(cell.get("id", ""), cell.cell_type, cell.source) for cell in notebook.cells]


def _lesson(course: Course, lesson: Lesson) -> list[Planned]:
    source = course.source("lessons", lesson)
    if not source.is_file():
        return []
    notebook = make_notebook(source.read_text(encoding="utf-8"), lesson.slug)
    return [Planned(lesson, LESSONS, source, course.notebook(LESSONS, lesson), notebook)]


def _exercise(course: Course, lesson: Lesson) -> list[Planned]:
    source = course.source("exercises", lesson)
    if not source.is_file():
        return []
    name = source.relative_to(course.root).as_posix()
    sides = split(source.read_text(encoding="utf-8"), name)
    exercise = make_notebook(sides.exercise, lesson.slug)
    told = leaks(sides, "\n".join(cell.source for cell in exercise.cells))
    if told:
        raise CourseError(
            f"{name}:{sides.answers[told[0]]}: the answer `{told[0]}` also stands in the "
            "exercise, outside of the markers or in its blank. Reword one of the two."
        )
    return [
        Planned(lesson, EXERCISES, source, course.notebook(EXERCISES, lesson), exercise),
        Planned(
            lesson,
            SOLUTIONS,
            source,
            course.notebook(SOLUTIONS, lesson),
            make_notebook(sides.solution, lesson.slug),
        ),
    ]


def _save(planned: Planned, outcome: Outcome) -> Outcome:
    content = as_text(planned.notebook).encode()
    target = planned.target
    if target.exists() and target.read_bytes() == content:
        return Outcome.UNCHANGED
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, content)
    return outcome


def _difference(planned: Planned) -> str | None:
    if not planned.target.exists():
        return f"{planned.name} is missing: run `course build`."
    if _sources(read_notebook(planned.target)) != _sources(planned.notebook):
        source = f"content/{planned.source.parent.name}/{planned.source.name}"
        return f"{planned.name} differs from {source}: run `course build`."
    return None
