"""What visitors do who lose patience, and what became of each of their attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_app.load.limits import within
from course_app.load.result import ErrorExample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_RETRIES = 10
MOST_PAUSE_SECONDS = 10.0
MOST_SAVED_RETRIES = 10
"""How many retries a budget holds at most, and at first."""

#: Statuses of attempts that got none.
TIMED_OUT, LOST, UNSENT = 0, -1, -2


@dataclass(frozen=True)
class Retries:
    """What a client does after an attempt that brought no right answer.

    times: so many further attempts at most.
    pause_seconds: before the first of them; before each further one twice as long.
    jitter: each pause is drawn between nothing and its length ("full jitter").
    budget: so many retries are earned by each first attempt, for all visitors together; None: no
        limit. What is not used is saved, up to `MOST_SAVED_RETRIES`.

    Raises OutOfBounds.
    """

    times: int = 0
    pause_seconds: float = 0.0
    jitter: bool = False
    budget: float | None = None

    def __post_init__(self) -> None:
        within("times", self.times, 0, MOST_RETRIES)
        within("pause_seconds", self.pause_seconds, 0.0, MOST_PAUSE_SECONDS)
        if self.budget is not None:
            within("budget", self.budget, 0.0, 1.0)

    def longest_seconds(self, timeout_seconds: float) -> float:
        """How long the last visitor may keep trying."""
        return (self.times + 1) * timeout_seconds + self.pause_seconds * 2.0**self.times


NEVER = Retries()


@dataclass(frozen=True)
class Visits:
    """Every attempt of every visitor, in the order of their ends; arrays of shape (attempts,).

    visitor, attempt: int64, who it was, and for which time (0: the first)
    due_ns, start_ns, end_ns: int64, when it should have been sent, was sent, and ended
    status: int64, the answer's status, or TIMED_OUT, LOST, UNSENT
    right: bool, whether the answer was the expected one
    """

    visitor: NDArray[np.int64]
    attempt: NDArray[np.int64]
    due_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    status: NDArray[np.int64]
    right: NDArray[np.bool_]
    window_start_ns: int
    window_seconds: float
    errors: tuple[ErrorExample, ...]
    generator_cpu_seconds: float

    @property
    def visitors(self) -> int:
        """How many arrived."""
        return int((self.attempt == 0).sum())

    @property
    def generator_busy(self) -> float:
        """Share of one core that the generator used; near 1 it limits what it measures."""
        until_last_end = (int(self.end_ns.max(initial=0)) - self.window_start_ns) / 1e9
        seconds = max(self.window_seconds, until_last_end)
        return self.generator_cpu_seconds / seconds if seconds > 0 else 0.0

    @property
    def arrived_ns(self) -> NDArray[np.int64]:
        """When each visitor arrived, shape (visitors,), by number."""
        import numpy as np

        first = self.attempt == 0
        arrived: NDArray[np.int64] = self.due_ns[first][np.argsort(self.visitor[first])]
        return arrived

    @property
    def waited_ms(self) -> NDArray[np.float64]:
        """From arrival to the right answer, shape (visitors,), by number; NaN: never got one."""
        import numpy as np

        waited = np.full(self.visitors, np.nan)
        who = self.visitor[self.right]
        waited[who] = (self.end_ns[self.right] - self.arrived_ns[who]) / 1e6
        return waited


def visits_of(reply: Mapping[str, Any], arrays: Mapping[str, bytes]) -> Visits:
    """The result in a generator process's reply."""
    import numpy as np

    def column(name: str) -> NDArray[np.int64]:
        return np.frombuffer(arrays[f"0 {name}"], dtype=np.int64)

    summary = reply["targets"][0]
    return Visits(
        visitor=column("visitor"),
        attempt=column("attempt"),
        due_ns=column("due_ns"),
        start_ns=column("start_ns"),
        end_ns=column("end_ns"),
        status=column("status"),
        right=column("right").astype(bool),
        window_start_ns=reply["start_ns"],
        window_seconds=max(0, reply["end_ns"] - reply["start_ns"]) / 1e9,
        errors=tuple(ErrorExample(**example) for example in summary["examples"]),
        generator_cpu_seconds=summary["cpu_seconds"],
    )
