"""What a crowd's answers say: requests that block each other, or a machine that is slow."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from course_app.exercises.connection_pooling import rubric
from course_app.grading import CannotTell

NOBODY: Any = None


def crowd(served_ms: list[float], refused_ms: list[float], hung: int = 0) -> Any:
    """Answers to clients that all came at 5 s on the clock, by when they came."""
    ends = np.array([*served_ms, *refused_ms])
    return SimpleNamespace(
        status=np.array([200] * len(served_ms) + [503] * len(refused_ms)),
        start_ns=np.full(ends.size, 5 * 10**9),
        end_ns=5 * 10**9 + (1e6 * ends).astype(np.int64),
        service_ms=ends,
        completed=ends.size,
        error_count=hung,
        errors_by_kind={"timeout": hung} if hung else {},
    )


STEADILY = list(np.linspace(100, 1900, 120))


@pytest.mark.parametrize(
    "blocked",
    [
        crowd([80, 90, 150, 1100, 1130], [1034, 1040, *range(1050, 1100), *range(2040, 2100)]),
        crowd([80, 90], [], hung=150),
        crowd([], [1001, 1002, 1003]),
    ],
    ids=["until the first gives up", "for ever", "from the beginning"],
)
def test_requests_that_stand_still_block_each_other(blocked: Any) -> None:
    with pytest.raises(rubric.Deadlocks):
        rubric._require_served(NOBODY, blocked, "every request served")


@pytest.mark.parametrize("refused", [1, 20, 110])
def test_requests_that_are_slow_do_not(refused: int) -> None:
    """However many are refused: while somebody is always served, connections come back."""
    slow = crowd(STEADILY, list(np.linspace(1010, 1900, refused)))
    with pytest.raises(CannotTell, match=f"{refused} of"):
        rubric._require_served(NOBODY, slow, "every request served")


def test_a_refusal_before_the_second_is_over_is_too_soon() -> None:
    """Also if it is one of many: no busy machine makes a second shorter."""
    impatient = crowd(STEADILY, [60])
    with pytest.raises(rubric.RefusesTooSoon, match=r"after 0\.06 s"):
        rubric._require_served(NOBODY, impatient, "every request served")


def test_who_serves_all_passes() -> None:
    rubric._require_served(NOBODY, crowd(STEADILY, []), "every request served")
