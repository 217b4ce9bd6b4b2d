"""Criteria, rubrics and exercises: everything an author of exercises declares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_app.changes import Changes, changed
from course_app.grading.evidence import Evidence, Failure, Kind, first_line

if TYPE_CHECKING:
    from course_app.grading.exam import Exam

#: What a factory may ask for, by the names of its parameters.
SERVICE_PARAMETERS = ("postgres_dsn", "valkey_url")

Check = Callable[["Exam"], Evidence]
Factory = Callable[..., Any]


@dataclass(frozen=True)
class Criterion:
    """One thing that is looked at: a function whose docstring is the title the learner reads."""

    check: Check
    kind: Kind
    points: float

    @property
    def name(self) -> str:
        """The function's name, which programs know the criterion by."""
        return getattr(self.check, "__name__", "criterion")

    @property
    def title(self) -> str:
        """The first line of the function's docstring."""
        return first_line(self.check.__doc__)


def contract(points: float) -> Callable[[Check], Criterion]:
    """A criterion on answers. Later kinds are checked only if all of these pass."""
    return _kind(Kind.CONTRACT, points)


def mechanism(points: float) -> Callable[[Check], Criterion]:
    """A criterion on the cause: something that is counted, so no machine is too noisy for it."""
    return _kind(Kind.MECHANISM, points)


def speed(points: float) -> Callable[[Check], Criterion]:
    """A criterion on the share of the reference's gain."""
    return _kind(Kind.SPEED, points)


def hygiene(points: float) -> Callable[[Check], Criterion]:
    """A criterion on what a careful engineer also does: limits, clean-up, clear refusals."""
    return _kind(Kind.HYGIENE, points)


def _kind(kind: Kind, points: float) -> Callable[[Check], Criterion]:
    def decorate(check: Check) -> Criterion:
        return Criterion(check, kind, points)

    return decorate


@dataclass(frozen=True)
class Changed:
    """A file with an answer, of which a few lines are others: handed in as a learner would.

    Args:
        path: a Python file that is whole.
        changes: pairs of an old text, which is found exactly once, and the new one.
    """

    path: Path
    changes: Changes

    def text(self) -> str:
        """The changed file.

        Raises:
            ValueError: an old text is not there, or not only once.
        """
        return changed(self.path.read_text(encoding="utf-8"), self.changes, self.path.name)


@dataclass(frozen=True)
class RightAnswer:
    """An answer that is made in another way than the reference, and must get full points.

    Args:
        name: what is other about it, in a few words.
        answer: a factory like the exercise's ``reference``, or a file with one.
        values: what it hands in beside the app; a file does so by itself.
    """

    name: str
    answer: Factory | Path | Changed
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WrongAnswer:
    """A tempting answer that must fail, and how.

    Args:
        name: what is wrong with it, in a few words.
        answer: a factory like the exercise's ``reference``, or a file with one.
        failure: the failure that it must earn, before any other.
        values: what it hands in beside the app.
        points: what it must get, where that is told.
    """

    name: str
    answer: Factory | Path | Changed
    failure: type[Failure]
    values: Mapping[str, Any] = field(default_factory=dict)
    points: float | None = None


@dataclass(frozen=True)
class Exercise:
    """An exercise: what is given, what solves it, and how answers are judged.

    Args:
        slug: number and name, as in ``04_connection_pooling``.
        title: what the learner is asked to do, in a few words.
        baseline: factory of the slow app that the learner starts from.
        reference: factory of a good answer, which answers are graded against.
        rubric: criteria, contract first.
        given: those of them that the given app fulfils: an answer that fulfils no other one has
            done nothing yet, and gets no points for them.
        hints: from a nudge to nearly the answer.
        wrong_answers: known wrong answers; ``course verify`` holds that each fails its way.
        right_answers: right ones that are made in other ways; it holds that each gets all points.
        values: names of what is handed in beside the app (``check(slug, app, table=...)``).
        reference_values: those values as the reference would hand them in.
        valkey_can_go_away: criteria take Valkey away (``workspace.valkey_away()``).
        uses: services that the rubric works with, though no factory asks for them.

    A factory takes any of ``postgres_dsn`` and ``valkey_url`` by these names, each a fresh
    database, and returns an ASGI app. An app that needs neither may also be handed in itself.
    """

    slug: str
    title: str
    baseline: Factory
    reference: Factory
    rubric: Sequence[Criterion]
    hints: Sequence[str]
    wrong_answers: Sequence[WrongAnswer]
    given: Sequence[Criterion] = ()
    right_answers: Sequence[RightAnswer] = ()
    values: Sequence[str] = ()
    reference_values: Mapping[str, Any] = field(default_factory=dict)
    valkey_can_go_away: bool = False
    uses: Sequence[str] = ()

    @property
    def points(self) -> float:
        """Points of all criteria together."""
        return sum(criterion.points for criterion in self.rubric)

    @property
    def needs(self) -> tuple[str, ...]:
        """Which of ``SERVICE_PARAMETERS`` the baseline, the reference or the rubric asks for."""
        factories = (self.baseline, self.reference)
        asked = {name for factory in factories for name in signature(factory).parameters}
        asked |= set(self.uses)
        return tuple(name for name in SERVICE_PARAMETERS if name in asked)
