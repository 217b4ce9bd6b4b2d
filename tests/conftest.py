"""Fixtures that more than one room's tests use."""

from collections.abc import Iterator

import pytest

from course_app.services import Services, start_services


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Real PostgreSQL with the data set and real Valkey, for the whole test session."""
    with start_services() as started:
        yield started
