"""Exercise 03: which intervals tell two drivers apart."""

import pytest

from course_app.exercises.client_libraries.rubric import _told_apart
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
