"""``course verify``: prove that exercises judge rightly."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from course_app.cli.answer import with_exercise
from course_app.cli.console import Json, Lessons, output, print_json, progress_bar, status
from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.contents import Course, Lesson
    from course_app.grading import Proof


Only = Annotated[
    str, typer.Option(metavar="TEXT", help="Only the proofs whose name contains this.")
]


def verify(lessons: Lessons = None, only: Only = "", json: Json = False) -> None:
    """Prove exercises, built from content/ as it is now.

    The blank is not attempted, the solution and all other right answers get full points, each
    known wrong answer fails in its own way with its own hint, and nothing could not be checked.
    All are run to the end, two or more at once where there are cores for it; what does not hold
    then is proved again alone.
    """
    from course_app.authoring.contents import find_course

    course = find_course()
    chosen = course.select(lessons) if lessons else with_exercise(course)
    if not chosen:
        raise CourseError("Nothing to prove: content/exercises holds no exercise yet.")
    proofs = _proved(course, chosen, only)
    if not proofs:
        raise CourseError(f"No proof's name contains {only!r}. Leave out --only to see all names.")
    if json:
        print_json({"proofs": [_to_dict(proof) for proof in proofs]})
    else:
        _print(proofs)
    if not all(proof.held for proof in proofs):
        raise typer.Exit(1)


def _proved(course: "Course", lessons: "Sequence[Lesson]", only: str) -> "list[Proof]":
    """All proofs in the order of the lessons, under one bar."""
    from rich.markup import escape

    from course_app.authoring.contents import EXERCISES, SOLUTIONS
    from course_app.cli.proving import Task, prove_all
    from course_app.grading.proofs import Proof, defects, names
    from course_app.learn import load_exercise

    proofs: list[Proof] = []
    tasks: list[Task] = []
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        for lesson in lessons:
            exercise = load_exercise(lesson.slug)
            problems = [("declaration", problem) for problem in defects(exercise)]
            built: dict[str, Path] = {}
            try:
                built = _built(course, lesson, Path(folder) / lesson.slug)
            except CourseError as error:
                problems.append(("notebooks can be built", str(error)))
            proofs += [Proof(exercise.slug, what, problem) for what, problem in problems]
            blank, solution = built.get(EXERCISES), built.get(SOLUTIONS)
            wanted = [name for name in names(exercise) if only in name]
            tasks += [Task(lesson.slug, name, blank, solution) for name in wanted]
        proved: dict[Task, Proof] = {}
        with progress_bar() as bar:
            row = bar.add_task("", total=len(tasks))
            for task, proof in prove_all(tasks):
                proved[task] = proof
                status().print(escape(str(proof)), soft_wrap=True)
                bar.update(row, completed=len(proved), description=task.exercise)
    proofs += [proved[task] for task in tasks]
    numbers = {lesson.slug: number for number, lesson in enumerate(lessons)}
    return sorted(proofs, key=lambda proof: numbers[proof.exercise])


def _built(course: "Course", lesson: "Lesson", folder: Path) -> dict[str, Path]:
    """The exercise's notebooks by tree, as content/ says now: those on disk may be a learner's.

    Raises:
        CourseError: there is no text, or it has a mistake.
    """
    from course_app.authoring.build import plan
    from course_app.authoring.contents import LESSONS
    from course_app.authoring.notebook import as_text

    source = course.source("exercises", lesson)
    if not source.is_file():
        raise CourseError(f"{source.relative_to(course.root)} is missing: write it.")
    built = {}
    for planned in plan(course, [lesson]):
        if planned.tree != LESSONS:
            path = built[planned.tree] = folder / planned.tree / planned.target.name
            path.parent.mkdir(parents=True)
            path.write_text(as_text(planned.notebook), encoding="utf-8")
    return built


def _print(proofs: "Sequence[Proof]") -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("", "Exercise", "What must be", "What came", "Points", "Time"):
        table.add_column(name)
    for proof in proofs:
        mark = "[green]✓[/]" if proof.held else "[red]✗[/]"
        table.add_row(mark, proof.exercise, escape(proof.what), *_came(proof))
    output().print(table)
    failed = [proof for proof in proofs if not proof.held]
    for proof in failed:
        output().print(f"[red]✗[/] {escape(str(proof)[2:])}", soft_wrap=True)
    output().print(f"{len(proofs) - len(failed)} of {len(proofs)} proofs held.")


def _came(proof: "Proof") -> tuple[str, str, str]:
    card = proof.card
    if card is None:
        return "", "", ""
    return _earned(proof), f"{card.points:g} / {card.possible:g}", f"{card.seconds:.1f} s"


def _earned(proof: "Proof") -> str:
    """The first failure's name, else the outcome."""
    if proof.card is None:
        return ""
    first = next(iter(proof.card.failures()), None)
    return (first and first.failure) or str(proof.card.outcome)


def _to_dict(proof: "Proof") -> dict[str, Any]:
    card = proof.card
    return {
        "exercise": proof.exercise,
        "what": proof.what,
        "held": proof.held,
        "problem": proof.problem,
        "came": _earned(proof),
        "points": card and card.points,
        "seconds": card and round(card.seconds, 2),
    }
