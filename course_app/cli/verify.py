"""``course verify``: prove that exercises judge rightly."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from course_app.cli.answer import with_exercise
from course_app.cli.console import Json, Lessons, output, print_json, progress_bar, status
from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.contents import Course, Lesson
    from course_app.grading import Checker, Exercise, Proof


Only = Annotated[
    str, typer.Option(metavar="TEXT", help="Only the proofs whose name contains this.")
]


def verify(lessons: Lessons = None, only: Only = "", json: Json = False) -> None:
    """Prove exercises, built from content/ as it is now.

    The blank is not attempted, the solution and all other right answers get full points, each
    known wrong answer fails in its own way with its own hint, and nothing could not be checked.
    All are run to the end, which takes about ten seconds an answer.
    """
    from course_app.authoring.contents import find_course

    course = find_course()
    chosen = course.select(lessons) if lessons else with_exercise(course)
    if not chosen:
        raise CourseError("Nothing to prove: content/exercises holds no exercise yet.")
    proofs = _proved(course, chosen, only)
    if json:
        print_json({"proofs": [_to_dict(proof) for proof in proofs]})
    else:
        _print(proofs)
    if not all(proof.held for proof in proofs):
        raise typer.Exit(1)


def _proved(course: "Course", lessons: "Sequence[Lesson]", only: str) -> "list[Proof]":
    """All proofs, under one bar."""
    from rich.markup import escape

    from course_app.grading import Checker
    from course_app.learn import load_exercise
    from course_app.services import start_services

    exercises = [load_exercise(lesson.slug) for lesson in lessons]
    proofs: list[Proof] = []
    with ExitStack() as stack:
        services = cache(lambda: stack.enter_context(start_services(dataset=False)))
        checker = stack.enter_context(Checker(services, isolated=True))
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("", total=sum(_answers(x) for x in exercises))
        for lesson, exercise in zip(lessons, exercises, strict=True):
            bar.update(task, description=lesson.slug)
            for proof in _proofs(course, lesson, exercise, checker, only):
                proofs.append(proof)
                status().print(escape(str(proof)), soft_wrap=True)
                bar.update(task, advance=1 if proof.card else 0)
    return proofs


def _answers(exercise: "Exercise") -> int:
    """The blank, the solution, and all that it declares."""
    return 2 + len(exercise.right_answers) + len(exercise.wrong_answers)


def _proofs(
    course: "Course", lesson: "Lesson", exercise: "Exercise", checker: "Checker", only: str
) -> "Iterator[Proof]":
    from course_app.authoring.contents import EXERCISES, SOLUTIONS
    from course_app.grading.proofs import Proof
    from course_app.grading.proofs import verify as prove

    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        built: dict[str, Path] = {}
        try:
            built = _built(course, lesson, Path(folder))
        except CourseError as error:
            yield Proof(exercise.slug, "notebooks can be built", str(error))
        blank, solution = built.get(EXERCISES), built.get(SOLUTIONS)
        yield from prove(checker, exercise, blank=blank, solution=solution, only=only)


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
            path.parent.mkdir()
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
