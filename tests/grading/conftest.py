"""Fixtures of the grading tests: the toy exercise is a module like those of the course."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from course_app.grading import Checker, Limits


def no_services() -> object:
    raise AssertionError("the toy exercise needs no services")


@pytest.fixture(scope="session")
def threads() -> Iterator[Checker]:
    """The notebook's door."""
    with Checker(no_services) as checker:  # type: ignore[arg-type]
        yield checker


@pytest.fixture(scope="session")
def processes() -> Iterator[Checker]:
    """The instructor's door, with limits that are soon reached."""
    limits = Limits(
        import_seconds=4, start_seconds=3, request_seconds=1.5, memory_bytes=300 * 2**20
    )
    with Checker(no_services, isolated=True, limits=limits) as checker:  # type: ignore[arg-type]
        yield checker
