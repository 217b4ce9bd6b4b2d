"""Exercise 03: which intervals tell two drivers apart."""

import pytest

from course_app.exercises.client_libraries.rubric import _equally_wide, _told_apart
from course_app.measure.statistics import Interval


@pytest.mark.parametrize(
    ("fast", "slow", "told"),
    [
        (Interval(1.4, 1.2, 1.6), Interval(2.9, 2.5, 3.3), True),
        (Interval(1.4, 0.8, 2.5), Interval(2.9, 1.6, 5.5), True),  # they overlap, but not so far
        (Interval(1.4, 0.5, 4.0), Interval(2.9, 1.0, 6.0), False),
        (Interval(1.4, 0.07, 28), Interval(2.9, 0.15, 58), False),  # it holds anything
        (Interval(2.9, 1.6, 5.5), Interval(1.4, 0.8, 2.5), False),  # the wrong way round
    ],
)
def test_drivers_are_told_apart_where_an_interval_leaves_the_others_estimate_out(
    fast: Interval, slow: Interval, told: bool
) -> None:
    assert _told_apart(fast, slow) is told


@pytest.mark.parametrize(
    ("intervals", "equal"),
    [
        ([Interval(1, 0.9, 1.1), Interval(3, 2.7, 3.3), Interval(9, 8.1, 9.9)], True),
        ([Interval(1, 0.9, 1.1), Interval(3, 2.8, 3.3), Interval(9, 8.1, 9.9)], False),
        ([Interval(0.12, 0.12, 0.12), Interval(0.2, 0.2, 0.2)], False),  # narrow, and rounded
    ],
)
def test_intervals_that_are_a_fixed_share_are_not_measured(
    intervals: list[Interval], equal: bool
) -> None:
    assert _equally_wide(intervals) is equal
