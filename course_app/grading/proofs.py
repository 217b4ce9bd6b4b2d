"""Proof that an exercise judges rightly: what must pass passes, what must fail fails its way."""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_app.grading.engine import Checker
from course_app.grading.evidence import Failure, Kind, Outcome
from course_app.grading.rubric import Changed, Exercise
from course_app.grading.scorecard import Scorecard

#: A busy machine may say "cannot tell"; then the same answer is checked again.
TRIES = 3

_BLANK = "def create_app(*services):\n    ...  # your answer\n"
_KINDS = list(Kind)


@dataclass(frozen=True)
class Proof:
    """One thing that was tried on an exercise. ``problem`` is empty if it held."""

    exercise: str
    what: str
    problem: str = ""
    card: Scorecard | None = None

    @property
    def held(self) -> bool:
        """Did it come out as it must?"""
        return not self.problem

    def __str__(self) -> str:
        sign = "✓" if self.held else "✗"
        seconds = f" ({self.card.seconds:.1f} s)" if self.card else ""
        return f"{sign} {self.exercise}: {self.what}{seconds}" + (
            f": {self.problem}" if self.problem else ""
        )


def verify(
    checker: Checker,
    exercise: Exercise,
    *,
    blank: Path | None = None,
    solution: Path | None = None,
    only: str = "",
    first_failure_only: bool = False,
) -> Iterator[Proof]:
    """Yield one proof after another; those on the declaration come first and cost nothing.

    Args:
        checker: an isolated one.
        blank: the notebook that learners get; an empty ``create_app`` if not given.
        solution: the notebook with the answers; the exercise's reference if not given.
        only: a part of the names of the proofs that are wanted; all if empty.
        first_failure_only: end each check where it has failed, instead of running it to its end.
    """
    yield from (Proof(exercise.slug, "declaration", problem) for problem in defects(exercise))
    for name in names(exercise):
        if only in name:
            yield prove(
                checker, exercise, name, blank, solution, first_failure_only=first_failure_only
            )


def names(exercise: Exercise) -> list[str]:
    """What there is to prove beside the declaration: the blank, and each answer by its name."""
    return [claim.what for claim in _claims(exercise, Path(), exercise.reference)]


def prove(
    checker: Checker,
    exercise: Exercise,
    name: str,
    blank: Path | None,
    solution: Path | None,
    *,
    first_failure_only: bool = False,
) -> Proof:
    """One of the proofs that :func:`verify` yields, by its name.

    Raises:
        KeyError: there is none of that name.
    """
    with _file(blank, _BLANK) as path:
        right = solution or exercise.reference
        claims = _claims(exercise, path, right, first_failure_only)
        claim = {claim.what: claim for claim in claims}[name]
        return _proof(checker, exercise, claim, first_failure_only)


@dataclass(frozen=True)
class _Claim:
    """What must come out for one answer; ``judge`` says what is wrong with a scorecard."""

    what: str
    answer: Any
    judge: Callable[[Scorecard], str]
    values: Mapping[str, Any] | None = None


def _claims(
    exercise: Exercise, blank: Path, right: Any, first_failure_only: bool = False
) -> Iterator[_Claim]:
    yield _Claim("blank is not attempted", blank, _is_not_attempted)
    yield _Claim("solution gets full points", right, _has_full_points, exercise.reference_values)
    for other in exercise.right_answers:
        what = f"right answer '{other.name}' gets full points"
        yield _Claim(what, other.answer, _has_full_points, other.values)
    for wrong in exercise.wrong_answers:
        yield _Claim(
            f"wrong answer '{wrong.name}' earns {wrong.failure.__name__}",
            wrong.answer,
            _fails_with(wrong.failure, None if first_failure_only else wrong.points),
            wrong.values,
        )


def defects(exercise: Exercise) -> list[str]:
    """What is missing from an exercise's declaration, a sentence each; empty if nothing is."""
    found = []
    kinds = [_KINDS.index(criterion.kind) for criterion in exercise.rubric]
    if not kinds or kinds[0] != 0:
        found.append("The rubric has no contract criterion, so wrong answers could be fast ones.")
    if kinds != sorted(kinds):
        found.append("The rubric's order must be contract, mechanism, speed, hygiene.")
    for criterion in exercise.rubric:
        if not criterion.title:
            found.append(f"Criterion {criterion.name} has no docstring, which is its title.")
        if criterion.points < 0:
            found.append(f"Criterion {criterion.name} has negative points.")
    found += [_missing(cls, "hint") for cls in failure_kinds(exercise) if not cls.hint.strip()]
    found += [_missing(cls, "docstring") for cls in failure_kinds(exercise) if not cls.summary()]
    found += [
        f"{x.name} is given, but not in the rubric."
        for x in exercise.given
        if x not in exercise.rubric
    ]
    if exercise.given and not any(wrong.points == 0 for wrong in exercise.wrong_answers):
        found.append("No known wrong answer shows that what was given gets no points.")
    if not exercise.hints:
        found.append("The exercise has no hints.")
    twice = [name for name, times in Counter(names(exercise)).items() if times > 1]
    found += [f"Two answers are called the same: {name}." for name in twice]
    if not exercise.wrong_answers:
        found.append("The exercise has no known wrong answers, so nothing shows that it can fail.")
    return found


def failure_kinds(exercise: Exercise) -> list[type[Failure]]:
    """Failures that the exercise's own modules define, and those its wrong answers must earn."""
    modules = {criterion.check.__module__ for criterion in exercise.rubric}
    own = [
        value
        for name in sorted(modules)
        for value in vars(sys.modules[name]).values()
        if isinstance(value, type) and issubclass(value, Failure) and value.__module__ in modules
    ]
    return list(dict.fromkeys([*own, *(wrong.failure for wrong in exercise.wrong_answers)]))


def _missing(failure: type[Failure], what: str) -> str:
    return f"Failure {failure.__name__} has no {what}."


def _proof(checker: Checker, exercise: Exercise, claim: _Claim, first_failure_only: bool) -> Proof:
    with _handed_in(claim.answer) as answer:
        for _ in range(TRIES):
            card = checker.check(
                exercise, answer, values=claim.values, first_failure_only=first_failure_only
            )
            problem = _not_checked(card) or claim.judge(card)
            if not (problem and card.open_points):
                break
    return Proof(exercise.slug, claim.what, problem, card)


def _not_checked(card: Scorecard) -> str:
    """Whatever an answer does, the check must be able to judge it."""
    for result in card.results:
        if result.outcome is Outcome.COULD_NOT_CHECK:
            return f"{result.name} could not be checked: {result.observed}"
    return ""


@contextmanager
def _handed_in(answer: Any) -> Iterator[Any]:
    """The answer as a learner would hand it in: what was changed in a file is a file again."""
    if isinstance(answer, Changed):
        with _file(None, answer.text()) as path:
            yield path
    else:
        yield answer


def _is_not_attempted(card: Scorecard) -> str:
    return "" if card.outcome is Outcome.NOT_ATTEMPTED else f"it is {_told(card)}"


def _has_full_points(card: Scorecard) -> str:
    return "" if card.passed else f"it is {_told(card)}"


def _fails_with(failure: type[Failure], points: float | None) -> Callable[[Scorecard], str]:
    def judge(card: Scorecard) -> str:
        first = next(iter(card.failures()), None)
        if first is None:
            return f"it is {_told(card)}"
        if first.failure != failure.__name__:
            return f"its first failure is {first.failure}: {first.observed}"
        if first.hint != failure.hint:
            return "the hint shown is not that failure's"
        wrong = points is not None and not card.open_points and card.points != points
        return f"it gets {card.points:g} points, not {points:g}" if wrong else ""

    return judge


def _told(card: Scorecard) -> str:
    told = next((r for r in card.results if r.outcome is not Outcome.PASSED), None)
    why = f" ({told.name}: {told.failure or told.outcome}; {told.observed})" if told else ""
    return f"{card.outcome}{why}"


@contextmanager
def _file(path: Path | None, text: str) -> Iterator[Path]:
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        written = Path(folder) / "answer.py"
        written.write_text(text, encoding="utf-8")
        yield written
