"""Are checks of exercises fair on a busy machine? (beside two busy loops; hours for all)

Each solution is checked again and again and may never fail; each answer that is right but slow
may never pass. Half of the checks go through either door: the notebook's, where an app is served
in a thread, and that of files, where it has a process of its own.
"""

import pkgutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import course_app.exercises
from benchmarks import BenchResult, never
from course_app.errors import CourseError
from course_app.grading import Changed, Checker, Exercise, Outcome, Scorecard
from course_app.grading.engine import silent
from course_app.grading.evidence import Kind
from course_app.grading.exam import Progress
from course_app.grading.failures import TooLittleGain
from course_app.processes import OwnedProcess
from course_app.services import start_services

#: Checks of each answer.
CHECKS = 20
BUSY_LOOPS = 2

_BUSY_LOOP = "while True: pass"
_SHOWN = (Outcome.PASSED, Outcome.CANNOT_TELL, Outcome.FAILED, Outcome.COULD_NOT_CHECK)


@dataclass(frozen=True)
class Question:
    """An answer whose verdict is known. ``never`` is the outcome that would be unjust."""

    exercise: Exercise
    name: str
    answer: Callable[..., Any]
    values: Mapping[str, Any]
    never: Outcome


@dataclass
class Said:
    """What came of the checks of one answer; ``unjust`` tells of each that did not judge justly."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    unjust: list[str] = field(default_factory=list)


def run(
    checks: int = CHECKS, exercises: Sequence[str] = (), progress: Progress = silent
) -> BenchResult:
    """Check each solution and each right but slow answer ``checks`` times, beside busy loops.

    Args:
        exercises: numbers, such as ``04``; all exercises if there are none.
        progress: told before each check.

    Raises:
        CourseError: there is no such exercise.
    """
    known = {exercise.slug[:2]: exercise for exercise in _exercises()}
    if not known:
        raise CourseError("There is no exercise to check yet. Write one in course_app/exercises.")
    numbers = sorted(known)
    if unknown := sorted(set(exercises) - set(known)):
        choose = f"Choose from: {', '.join(numbers)}."
        raise CourseError(f"There is no exercise {', '.join(unknown)} to check. {choose}")
    asked = [number for number in numbers if not exercises or number in exercises]
    questions = [question for number in asked for question in _questions(known[number])]
    with ExitStack() as stack:
        services = stack.enter_context(start_services(dataset=False))
        doors = [
            stack.enter_context(Checker(lambda: services, isolated=isolated))
            for isolated in (False, True)
        ]
        for _ in range(BUSY_LOOPS):
            stack.enter_context(OwnedProcess([sys.executable, "-c", _BUSY_LOOP]))
        answers = [(question, _ask(question, doors, checks, progress)) for question in questions]
    return BenchResult(
        title=f"{checks} checks of each answer beside {BUSY_LOOPS} busy loops",
        columns=("answer", *(str(outcome) for outcome in _SHOWN), "mean time", "longest"),
        rows=[_row(question, said) for question, said in answers],
        requirements={_sentence(question): _held(question, said) for question, said in answers},
        figures={f"{q.exercise.slug}, {q.name}": _figures(said) for q, said in answers},
        notes=[f"{_sentence(q)}, but: {why}" for q, said in answers for why in said.unjust],
    )


def _exercises() -> Iterator[Exercise]:
    for module in pkgutil.iter_modules(course_app.exercises.__path__):
        yield import_module(f"{course_app.exercises.__name__}.{module.name}").exercise


def _questions(exercise: Exercise) -> Iterator[Question]:
    yield Question(
        exercise, "solution", exercise.reference, exercise.reference_values, Outcome.FAILED
    )
    for wrong in exercise.wrong_answers:
        if issubclass(wrong.failure, TooLittleGain):
            assert not isinstance(wrong.answer, Path | Changed), "served in a thread, too"
            yield Question(exercise, wrong.name, wrong.answer, wrong.values, Outcome.PASSED)


def _ask(question: Question, doors: Sequence[Checker], checks: int, progress: Progress) -> Said:
    said = Said()
    for number in range(checks):
        progress(f"{question.exercise.slug}, {question.name}: check {number + 1} of {checks}")
        door = doors[number % len(doors)]
        card = door.check(question.exercise, question.answer, values=question.values)
        said.outcomes[card.outcome] += 1
        said.seconds.append(card.seconds)
        if card.outcome in (question.never, Outcome.COULD_NOT_CHECK):
            said.unjust.append(_reason(card))
    return said


def _reason(card: Scorecard) -> str:
    """What was seen, and the seed that sends the same requests again."""
    telling = [r for r in card.results if r.kind is Kind.SPEED or r.outcome is not Outcome.PASSED]
    seen = "; ".join(f"{result.name} {result.outcome}: {result.observed}" for result in telling)
    return f"{seen} (seed {card.seed})"


def _sentence(question: Question) -> str:
    return f"{question.exercise.slug}, {question.name}: never “{question.never}”"


def _held(question: Question, said: Said) -> bool | None:
    all_checked = not said.outcomes[Outcome.COULD_NOT_CHECK]
    decided = said.outcomes[Outcome.PASSED] + said.outcomes[Outcome.FAILED]
    return never(said.outcomes[question.never], decided=decided if all_checked else 0)


def _row(question: Question, said: Said) -> tuple[str, ...]:
    mean = sum(said.seconds) / len(said.seconds)
    counts = (str(said.outcomes[outcome]) for outcome in _SHOWN)
    name = f"{question.exercise.slug[:2]}: {question.name}"
    return name, *counts, f"{mean:.1f} s", f"{max(said.seconds):.1f} s"


def _figures(said: Said) -> dict[str, Any]:
    counts = {str(outcome): said.outcomes[outcome] for outcome in _SHOWN}
    return {**counts, "check_seconds": [round(seconds, 2) for seconds in said.seconds]}
