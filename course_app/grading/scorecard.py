"""The result of a check: one record for people, for programs and for the progress file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from course_app.grading.evidence import Kind, Number, Outcome
from course_app.grading.render import scorecard_html, scorecard_table, scorecard_text

#: Marks scorecards in notebooks, for programs that look for them.
MIME_TYPE = "application/vnd.course.scorecard+json"

# The first of these that occurs among the criteria is the outcome of the whole check. What
# could not be checked leads: points that are not final must not look as if they were.
_PRECEDENCE = (
    Outcome.COULD_NOT_CHECK,
    Outcome.FAILED,
    Outcome.CANNOT_TELL,
)


@dataclass(frozen=True)
class CriterionResult:
    """What came of one criterion.

    ``failure`` is the name of the failure's class, ``summary`` its sentence. ``observed``
    of an undecided or unchecked criterion says why.
    """

    name: str
    title: str
    kind: Kind
    points: float
    outcome: Outcome
    earned: float = 0.0
    observed: str = ""
    wanted: str = ""
    failure: str | None = None
    summary: str = ""
    hint: str = ""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def open_points(self) -> float:
        """Points that are neither earned nor lost, because nobody can tell yet."""
        undecided = self.outcome in (Outcome.CANNOT_TELL, Outcome.COULD_NOT_CHECK)
        return self.points if undecided else 0.0


@dataclass(frozen=True)
class Scorecard:
    """All criteria of one check.

    ``seed`` repeats the same values in the requests; ``notes`` say how noisy the machine was
    and what else one should know; ``log`` is the end of what the app printed. Files
    with the same ``fingerprint`` hold the same code.
    """

    exercise: str
    title: str
    results: tuple[CriterionResult, ...]
    seed: int
    started_at: str
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    log: str = ""
    fingerprint: str = ""

    @property
    def outcome(self) -> Outcome:
        """Passed only if every criterion passed."""
        outcomes = {result.outcome for result in self.results}
        if outcomes == {Outcome.NOT_ATTEMPTED}:
            return Outcome.NOT_ATTEMPTED
        if Outcome.NOT_ATTEMPTED in outcomes:  # begun, with something left to write
            outcomes.add(Outcome.FAILED)
        return next((o for o in _PRECEDENCE if o in outcomes), Outcome.PASSED)

    @property
    def points(self) -> float:
        """Points earned."""
        return sum(result.earned for result in self.results)

    @property
    def possible(self) -> float:
        """Points of all criteria."""
        return sum(result.points for result in self.results)

    @property
    def open_points(self) -> float:
        """Points on which there is no decision yet."""
        return sum(result.open_points for result in self.results)

    @property
    def passed(self) -> bool:
        """Did every criterion pass?"""
        return self.outcome is Outcome.PASSED

    def failures(self) -> Sequence[CriterionResult]:
        """The criteria that failed, in the order of the rubric."""
        return [result for result in self.results if result.outcome is Outcome.FAILED]

    @property
    def message(self) -> str:
        """Outcome and points in one sentence."""
        score = f"{self.points:g} of {self.possible:g} points"
        match self.outcome:
            case Outcome.NOT_ATTEMPTED:
                return f"{self.title}: not attempted yet."
            case Outcome.PASSED:
                return f"{self.title}: passed, {score}."
            case Outcome.FAILED:
                return f"{self.title}: {score}{self._open()}."
            case other:
                return f"{self.title}: {other}, {score}{self._open()}."

    def _open(self) -> str:
        return f", {self.open_points:g} still open" if self.open_points else ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as values that JSON can hold."""
        totals = {"points": self.points, "possible": self.possible, "open": self.open_points}
        return {**asdict(self), **totals, "outcome": self.outcome}

    def to_json(self) -> str:
        """The scorecard as JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scorecard":
        """The inverse of :meth:`to_dict`.

        Raises:
            KeyError, TypeError, ValueError: ``data`` is not a scorecard.
        """
        results = tuple(
            CriterionResult(**{**r, "kind": Kind(r["kind"]), "outcome": Outcome(r["outcome"])})
            for r in data["results"]
        )
        return cls(
            exercise=data["exercise"],
            title=data["title"],
            results=results,
            seed=data["seed"],
            started_at=data["started_at"],
            seconds=data["seconds"],
            notes=tuple(data["notes"]),
            log=data["log"],
            fingerprint=data.get("fingerprint", ""),
        )

    def __str__(self) -> str:
        return scorecard_text(self)

    def __rich__(self) -> Any:
        return scorecard_table(self)

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        return {
            "text/plain": str(self),
            "text/html": scorecard_html(self),
            MIME_TYPE: self.to_dict(),
        }
