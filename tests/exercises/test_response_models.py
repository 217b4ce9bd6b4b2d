"""Exercise 06: what the solution leaves out somebody can learn of."""

from datetime import UTC, datetime
from typing import Any

import pytest

from course_app.exercises.response_models.reference import member_of


def test_a_row_that_is_no_member_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    row: Any = {"id": 4711, "name": "Ada", "bio": None, "created_at": datetime.now(UTC)}
    assert member_of(row) is not None
    assert not caplog.records
    assert member_of({**row, "name": ""}) is None
    assert "4711" in caplog.text
    assert "name" in caplog.text
