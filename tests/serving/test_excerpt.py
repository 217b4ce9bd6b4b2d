"""Exceptions told with the reader's own lines."""

import pytest

from course_app.serving.excerpt import own_lines


def test_an_exception_that_is_its_own_cause_is_told_once() -> None:
    error = ValueError("round and round")
    with pytest.raises(ValueError, match="round and round") as caught:
        raise error from error
    assert own_lines(caught.value).count("raise error from error") == 1


def test_two_exceptions_that_blame_each_other_are_told_once_each() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    with pytest.raises(ValueError, match="first") as caught:
        raise first
    assert own_lines(caught.value).count("raise first") == 1
