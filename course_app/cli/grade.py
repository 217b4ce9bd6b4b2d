"""``course grade``: grade a class."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_app.cli.answer import find_exercise, with_exercise
from course_app.cli.console import Json, output, print_json, progress_bar, status
from course_app.errors import CourseError
from course_app.system.private_folders import temporary_folder

if TYPE_CHECKING:
    from course_app.classroom.collect import Submission
    from course_app.classroom.gradebook import Gradebook
    from course_app.classroom.ledger import Grade

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="One entry per learner.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where grades and pages go.")]
Exercise = Annotated[
    str, typer.Option("--exercise", metavar="NN", help="Grade this one, whatever files are named.")
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Draws the requests; kept with the results, a new one at first."),
]
Again = Annotated[
    list[str] | None,
    typer.Option("--again", metavar="LEARNER", help="Grade a learner anew; may be repeated."),
]
Scheduler = Annotated[
    str, typer.Option("--scheduler", metavar="ADDRESS", help="Grade on this Dask cluster.")
]


Overrides = Annotated[
    Path | None,
    typer.Option(
        "--overrides", metavar="FILE", help="CSV: learner, exercise, points, late_days, comment."
    ),
]


def grade(
    folder: Folder,
    out: Out,
    exercise: Exercise = "",
    seed: Seed = None,
    again: Again = None,
    scheduler: Scheduler = "",
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Grade the submissions of a class, one after another; writes tables, JSON and pages.

    Can be stopped at any time and goes on where it was: an answer that did not change is not
    graded twice. What the machine could not decide is tried again in the next run.
    """
    from course_app.authoring.contents import find_course
    from course_app.classroom.collect import collect
    from course_app.classroom.gradebook import gradebook_of
    from course_app.classroom.report import ClassReport, write_class
    from course_app.classroom.twins import with_twins

    course = find_course()
    numbers = {lesson.number: lesson.slug for lesson in with_exercise(course)}
    book = gradebook_of(course, overrides)
    only = find_exercise(exercise)[1].slug if exercise else ""
    with temporary_folder("course-class-") as work:
        submissions = collect(folder, work, numbers, only)
        _require_known(again or (), submissions)
        grades = _grades(submissions, out, seed, again or (), scheduler)
    grades = with_twins(grades)
    _refuse_strangers(book, grades)
    report = ClassReport(tuple(grades), book)
    index = write_class(report, out)
    if json:
        print_json({"grades": [grade.to_dict() for grade in grades], "page": str(index)})
        return
    told = ", ".join(f"{count} {name}" for name, count in report.statuses.items())
    output().print(f"{len(grades)} submissions: {told}.")
    output().print(f"The class: {index}", soft_wrap=True)


def _require_known(again: Sequence[str], submissions: "Sequence[Submission]") -> None:
    """Raises CourseError where nobody is called as `--again` says."""
    names = {each.learner for each in submissions}
    if unknown := sorted(set(again) - names):
        raise CourseError(
            f"--again: nobody is called {unknown[0]!r}. Write a name as it stands in grades.csv."
        )


def _refuse_strangers(book: "Gradebook", grades: "list[Grade]") -> None:
    """A line of overrides.csv that is about nobody is a name that was mistyped."""
    for each in book.overrides:
        if not any(each.is_for(grade) for grade in grades):
            text = f"overrides: {each.learner} has handed in nothing for {each.exercise}."
            status().print(text, markup=False)


def _grades(
    submissions: "Sequence[Submission]",
    out: Path,
    wanted_seed: int | None,
    again: Sequence[str],
    scheduler: str,
) -> "list[Grade]":
    from course_app.classroom.grade import Judging, grade_class
    from course_app.classroom.ledger import Ledger

    ledger, grades = Ledger(out), []
    seed = ledger.seed(wanted_seed)
    with progress_bar() as bar:
        task = bar.add_task("starting", total=len(submissions))
        if scheduler:
            from course_app.classroom.cluster import grade_on_cluster

            found = grade_on_cluster(scheduler, submissions, ledger, seed=seed, again=again)
            for grade in found:
                grades.append(_told(grade))
                bar.update(task, advance=1, description=_label(grade))
            return sorted(grades, key=lambda grade: (grade.learner, grade.exercise))
        with Judging() as judge:
            for grade in grade_class(submissions, ledger, judge, seed=seed, again=again):
                grades.append(_told(grade))
                bar.update(task, advance=1, description=_label(grade))
    return grades


def _label(grade: "Grade") -> str:
    from rich.markup import escape

    from course_app.grading.harmless import harmless

    return escape(harmless(grade.learner))


def _told(grade: "Grade") -> "Grade":
    from rich.markup import escape

    from course_app.grading.harmless import harmless

    points = "" if grade.points is None else f" {grade.points:g}"
    line = harmless(f"{grade.learner}, {grade.exercise}: {grade.status}{points}")
    status().print(escape(line))
    return grade
