"""Waiting ends when it may, and no later than it must."""

import itertools

from course_app.system.waiting import wait_until


def test_waiting_ends_as_soon_as_it_is_true() -> None:
    looks = itertools.count()
    assert wait_until(lambda: next(looks) == 3, 60, pause_seconds=0.001) is True
    assert next(looks) == 4


def test_waiting_ends_with_the_time_after_one_look_at_least() -> None:
    looks = itertools.count()
    assert wait_until(lambda: next(looks) < 0, 0) is False
    assert next(looks) == 1
