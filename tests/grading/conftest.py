"""Fixtures of the grading tests: the toy exercise is a module like those of the course."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from submissions import TIGHT, no_services

from course_app.grading import Checker


@pytest.fixture(scope="session")
def threads() -> Iterator[Checker]:
    """The notebook's door."""
    with Checker(no_services) as checker:  # type: ignore[arg-type]
        yield checker


@pytest.fixture(scope="session")
def processes() -> Iterator[Checker]:
    """The instructor's door, with limits that are soon reached."""
    with Checker(no_services, isolated=True, limits=TIGHT) as checker:  # type: ignore[arg-type]
        yield checker
