"""A learner's own attempts at one exercise, the fastest right one first."""

from collections.abc import Sequence
from dataclasses import dataclass

from course_app.grading.progress import Attempt, Standing
from course_app.measure.result import Result
from course_app.measure.statistics import significant

SPEEDUP = "speedup_estimate"
#: Numbers of the speed criterion that only matter to whoever wants to know more.
_DETAILS = ("share_", "speedup_", "reference_", "rounds")


@dataclass(frozen=True)
class Leaderboard(Result):
    """Attempts whose answers were right, by their speed-up over the app that was given."""

    exercise: str
    attempts: tuple[Attempt, ...]

    @classmethod
    def of(cls, standing: Standing) -> "Leaderboard":
        """The board of one exercise; an attempt without a speed-up comes last."""
        right = [attempt for attempt in standing.attempts if attempt.right]
        best = sorted(right, key=lambda attempt: -attempt.numbers.get(SPEEDUP, 0.0))
        return cls(standing.exercise, tuple(best))

    @property
    def counted(self) -> list[str]:
        """What the attempts' criteria counted, besides speed."""
        names = dict.fromkeys(name for attempt in self.attempts for name in attempt.numbers)
        return [name for name in names if not name.startswith(_DETAILS)]

    @property
    def columns(self) -> Sequence[str]:
        """One attempt a row."""
        counted = (name.replace("_", " ") for name in self.counted)
        return ("attempt of", "points", "times as fast", *counted)

    @property
    def message(self) -> str:
        """How many attempts were right, and the best."""
        if not self.attempts:
            return "No attempt was right yet: first the answers, then the speed."
        best = self.attempts[0].numbers.get(SPEEDUP)
        told = "" if best is None else f", the fastest {significant(best)} times the given app"
        return f"{len(self.attempts)} right attempts{told}"

    def rows(self) -> Sequence[Sequence[str]]:
        """When, points, speed-up and counts of each attempt."""
        return [
            (
                attempt.at.replace("T", " ").partition("+")[0],
                f"{attempt.points:g}",
                *(_shown(attempt.numbers.get(name)) for name in (SPEEDUP, *self.counted)),
            )
            for attempt in self.attempts
        ]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else significant(value)
