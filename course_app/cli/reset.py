"""``course reset``: begin an exercise anew."""

import shutil
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_app.cli.answer import Number, aside, find_exercise
from course_app.cli.console import output
from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.build import Planned

#: Beside the exercises, but not among them: `exercises/04_*.ipynb` names one notebook only.
BACKUPS = "backups"

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def reset(exercise: Number, yes: Yes = False) -> None:
    """Put the blank notebook of an exercise back and forget its points, attempts and hints.

    The notebook as it is now is kept in exercises/backups/.
    """
    from course_app import learn
    from course_app.authoring.build import plan, write
    from course_app.authoring.contents import EXERCISES

    course, lesson = find_exercise(exercise)
    learn.load_exercise(lesson.slug)
    (blank,) = (x for x in plan(course, [lesson]) if x.tree == EXERCISES)
    if not yes and _something_to_lose(blank):
        _ask(blank)
    if _worth_keeping(blank):
        output().print(f"Kept as it was: {_keep(blank.target, course.root)}", soft_wrap=True)
    write(blank, force=True)
    with aside():
        learn.reset(lesson.slug)
    output().print(
        f"{blank.name} is blank again, its progress forgotten. If it is open, reload it.",
        soft_wrap=True,
    )


def _something_to_lose(blank: "Planned") -> bool:
    """There is a file, or there are points, attempts or hints."""
    from course_app.grading.progress import ProgressStore, Standing

    slug = blank.lesson.slug
    return blank.target.exists() or ProgressStore().standing(slug) != Standing(slug)


def _ask(blank: "Planned") -> None:
    place = " in place of yours" if blank.target.exists() else ""
    question = f"Write a blank {blank.name}{place} and forget its points and hints?"
    try:
        sure = typer.confirm(question, err=True)
    except typer.Abort:
        sure = False
    if not sure:
        raise CourseError(f"Nothing was changed. `course reset {blank.lesson.number} --yes` does.")


def _worth_keeping(blank: "Planned") -> bool:
    """There is a file, and it is not what a build writes."""
    from course_app.authoring.notebook import as_text

    target = blank.target
    return target.exists() and target.read_bytes() != as_text(blank.notebook).encode()


def _keep(notebook: Path, root: Path) -> Path:
    """Copy a notebook to a free name among the backups; returns it, seen from ``root``."""
    folder = notebook.parent / BACKUPS
    folder.mkdir(exist_ok=True)
    names = (folder / f"{notebook.stem}-{number}{notebook.suffix}" for number in count(1))
    backup = next(path for path in names if not path.exists())
    shutil.copy2(notebook, backup)
    return backup.relative_to(root)
