"""What became of those who came under a load, relative to what the machine could do meanwhile."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from course_app.load import Visits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What an answer is worth nothing after, and how soon the health check wants to be answered: for
#: an app that has a core for itself.
GOOD_MS, HEALTH_MS = 100.0, 50.0
REFUSED, LOST = 503, -1

#: Capacities before and after a load that differ by more tell of a neighbour who came or went.
_STEADY = 1.3
#: Of the capacity; beyond, lines are long by chance.
_CALM = 0.9


@dataclass(frozen=True)
class Capacity:
    """Right answers per second, and the time on the clock that a second of CPU took."""

    rate: float
    stretch: float


@dataclass(frozen=True)
class Became:
    """Counts of visitors by what became of their first attempt.

    good: answered rightly and in time
    late: answered rightly, but too late
    refused: answered 503
    left: hung up, or were cut off
    """

    good: int
    late: int
    refused: int
    left: int

    @property
    def total(self) -> int:
        return self.good + self.late + self.refused + self.left

    def share(self, count: int) -> float:
        """Of all who came; 0 where nobody did."""
        return count / self.total if self.total else 0.0

    def __str__(self) -> str:
        told = {"in time": self.good, "late": self.late, "refused": self.refused}
        told["left without an answer"] = self.left
        shown = [f"{self.share(count):.0%} {what}" for what, count in told.items() if count]
        return f"of {self.total}: " + (", ".join(shown) or "nobody came")


@dataclass(frozen=True)
class Load:
    """One load: every attempt, and the capacity just before and just after.

    faster: how many times the given app's capacity the candidate has.
    """

    visits: Visits
    before: Capacity
    after: Capacity
    faster: float = 1.0

    @property
    def steady(self) -> bool:
        """Whether the machine was the same before and after, as far as one can see."""
        low, high = sorted((self.before.rate, self.after.rate))
        return high <= _STEADY * low

    @property
    def capacity(self) -> float:
        """Answers per second that the candidate could give meanwhile."""
        return self.faster * math.sqrt(self.before.rate * self.after.rate)

    @property
    def heavier(self) -> float:
        """How many times as heavy it was as meant: more than 1 if the machine got slower."""
        return math.sqrt(self.before.rate / self.after.rate)

    def calm_after(self, times: float) -> bool:
        """Whether so many times the capacity before was still less than it, at the end."""
        return times * self.before.rate < _CALM * self.after.rate

    @property
    def in_time_ms(self) -> float:
        """What counts as in time, on the clock."""
        return GOOD_MS * self.stretch

    @property
    def stretch(self) -> float:
        """The time on the clock that a second of CPU took, 1 or more."""
        return max(1.0, self.before.stretch, self.after.stretch)

    def became(self, begin_seconds: float = 0.0, end_seconds: float = math.inf) -> Became:
        """What became of those who arrived in this part of the load."""
        visits, came = self.visits, self._came(begin_seconds, end_seconds)
        in_time = self._took_ms() <= self.in_time_ms
        return Became(
            good=int((came & visits.right & in_time).sum()),
            late=int((came & visits.right & ~in_time).sum()),
            refused=int((came & (visits.status == REFUSED)).sum()),
            left=int((came & ~visits.right & (visits.status != REFUSED)).sum()),
        )

    def goodput(self, begin_seconds: float, end_seconds: float) -> float:
        """Answers in time per second, as a share of the capacity."""
        per_second = self.became(begin_seconds, end_seconds).good / (end_seconds - begin_seconds)
        return per_second / self.capacity

    @property
    def refused(self) -> int:
        """How many attempts were refused."""
        return int((self.visits.status == REFUSED).sum())

    @property
    def refused_late(self) -> float:
        """The share of refusals that took longer than a good answer may."""
        refused = self.visits.status == REFUSED
        late = refused & (self._took_ms() > self.in_time_ms)
        return float(late.sum() / max(1, refused.sum()))

    @property
    def cut_off(self) -> float:
        """The share of attempts whose connection was closed instead of an answer."""
        return float((self.visits.status == LOST).sum() / max(1, len(self.visits.status)))

    def statuses(self) -> set[int]:
        """Statuses of answers that were neither right nor a refusal."""
        wrong = ~self.visits.right & (self.visits.status > 0) & (self.visits.status != REFUSED)
        return {int(status) for status in self.visits.status[wrong]}

    def _came(self, begin_seconds: float, end_seconds: float) -> "NDArray[np.bool_]":
        due_seconds = (self.visits.due_ns - self.visits.window_start_ns) / 1e9
        inside = (due_seconds >= begin_seconds) & (due_seconds < end_seconds)
        came: NDArray[np.bool_] = inside & (self.visits.attempt == 0)
        return came

    def _took_ms(self) -> "NDArray[np.float64]":
        took: NDArray[np.float64] = (self.visits.end_ns - self.visits.due_ns) / 1e6
        return took
