"""What a limiter decided, judged by the stamps of its clients. Only what is certain counts.

A client knows when it sent a request and when it had the answer; the limiter decided somewhere
between. On a busy machine these spans grow and less can be said, but nothing wrong is said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from course_app.load import LoadResult

#: Clocks differ by so much over some seconds, and limiters may count in milliseconds.
_SLACK_SECONDS = 0.01


@dataclass(frozen=True)
class Decision:
    """One request: sent at ``start``, answered at ``end`` (seconds on one clock)."""

    start: float
    end: float
    passed: bool


def decisions(results: Iterable[LoadResult]) -> list[Decision]:
    """What windows of load have shown, in the order in which requests were sent."""
    found = [
        Decision(start / 1e9, end / 1e9, status != 429)
        for result in results
        for start, end, status in zip(
            result.start_ns.tolist(), result.end_ns.tolist(), result.status.tolist(), strict=True
        )
    ]
    return sorted(found, key=lambda decision: decision.start)


def most_passed(made: Sequence[Decision], window_seconds: float) -> int:
    """The most requests that certainly passed within one window."""
    return most_sent([decision for decision in made if decision.passed], window_seconds)


def most_sent(made: Sequence[Decision], window_seconds: float) -> int:
    """The most requests that were certainly decided within one window."""
    return max((_certainly_within(made, first, window_seconds) for first in made), default=0)


def _certainly_within(made: Sequence[Decision], first: Decision, window_seconds: float) -> int:
    last_end = first.start + window_seconds - _SLACK_SECONDS
    return sum(first.start <= each.start and each.end <= last_end for each in made)


def wrongly_refused(made: Sequence[Decision], limit: int, window_seconds: float) -> list[Decision]:
    """The requests that were refused although fewer than ``limit`` had passed in their window."""
    passed = [decision for decision in made if decision.passed]
    return [
        decision
        for decision in made
        if not decision.passed and _perhaps_before(passed, decision, window_seconds) < limit
    ]


def _perhaps_before(passed: Sequence[Decision], refused: Decision, window_seconds: float) -> int:
    earliest = refused.start - window_seconds - _SLACK_SECONDS
    return sum(each.end >= earliest and each.start <= refused.end for each in passed)


def wait_bounds(
    made: Sequence[Decision], refused: Decision, limit: int, window_seconds: float
) -> tuple[float, float] | None:
    """What the refused client had to wait, at least and at most, in seconds.

    It waits for the ``limit``-th last request that passed to leave the window. None if fewer
    passed before, so that nobody can say.
    """
    before = [each for each in made if each.passed and each.end <= refused.start]
    if len(before) < limit:
        return None
    start = sorted(each.start for each in before)[-limit]
    end = sorted(each.end for each in before)[-limit]
    return (
        start + window_seconds - refused.end - _SLACK_SECONDS,
        end + window_seconds - refused.start + _SLACK_SECONDS,
    )
