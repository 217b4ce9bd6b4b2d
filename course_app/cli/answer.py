"""What the learner's commands share: which file is meant, which exercise it answers, its check."""

import contextlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.contents import Course, Lesson
    from course_app.grading import Scorecard

_KINDS = (".ipynb", ".py")

Answer = Annotated[
    str, typer.Argument(metavar="NN|FILE", help="An exercise's number, or a notebook or .py file.")
]
Number = Annotated[str, typer.Argument(metavar="NN", help="An exercise, by number or slug.")]
Which = Annotated[
    str | None,
    typer.Option("--exercise", metavar="NN", help="If the file's name does not begin with it."),
]


@dataclass(frozen=True)
class Handed:
    """A file with an answer, and the slug of the exercise that it answers."""

    path: Path
    exercise: str

    def check(self) -> "Scorecard":
        """Judge the file as it is saved now, and keep the attempt."""
        from course_app.grading.hosting import get_ready

        get_ready()  # while the rest is imported
        from course_app.learn import check_file

        with aside():
            return check_file(self.path, self.exercise)


def find_answer(answer: str, exercise: str | None = None) -> Handed:
    """The file that ``answer`` names, be it by an exercise's number.

    Raises:
        CourseError: there is no such file, or its name does not tell the exercise.
    """
    path = Path(answer)
    if path.suffix not in _KINDS and not path.exists():
        path = _notebook(answer)
    if not path.is_file() or path.suffix not in _KINDS:
        what = "does not exist" if not path.exists() else "is neither a notebook nor a .py file"
        raise CourseError(
            f"{path} {what}. Name a notebook, a .py file or an exercise's number, as in 04."
        )
    number = re.match(r"\d+", path.stem)
    if exercise is None and number is None:
        raise CourseError(
            f"{path.name} does not say which exercise it answers. Begin its name with the "
            "exercise's number, or add `--exercise 04`."
        )
    _, lesson = find_exercise(exercise or (number[0] if number else ""))
    return Handed(path.resolve(), lesson.slug)


def find_exercise(name: str) -> "tuple[Course, Lesson]":
    """The lesson whose exercise is meant, and its course.

    Raises:
        CourseError: there is no such lesson, or it has no exercise.
    """
    from course_app.authoring.contents import find_course

    course = find_course()
    (lesson,) = course.select([name])
    if not course.source("exercises", lesson).is_file():
        known = ", ".join(other.number for other in with_exercise(course)) or "none yet"
        raise CourseError(f"Lesson {lesson.number} has no exercise. Choose one that has: {known}.")
    return course, lesson


def with_exercise(course: "Course") -> "list[Lesson]":
    """The lessons whose exercise is written."""
    return [x for x in course.lessons if course.source("exercises", x).is_file()]


def aside() -> contextlib.AbstractContextManager[object]:
    """What the learner's door tells a notebook's reader must not mix with a command's results."""
    return contextlib.redirect_stdout(sys.stderr)


def _notebook(name: str) -> Path:
    from course_app.authoring.contents import EXERCISES

    course, lesson = find_exercise(name)
    path = course.notebook(EXERCISES, lesson)
    if not path.is_file():
        raise CourseError(
            f"{EXERCISES}/{path.name} is not there. `course build {lesson.number}` writes it."
        )
    return path
