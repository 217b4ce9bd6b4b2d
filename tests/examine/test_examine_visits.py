"""What is kept of a request that fails."""

from __future__ import annotations

import pytest

from course_app.examine.instruments.visits import Visit, note_error


def failed(message: str, cause: BaseException | None = None) -> ValueError:
    try:
        raise ValueError(message) from cause
    except ValueError as error:
        return error


@pytest.mark.timeout(10)
def test_a_chain_of_causes_may_run_in_a_circle_anywhere() -> None:
    inner = failed("inner")
    inner.__cause__ = inner
    outer = failed("outer", inner)
    visit = Visit({"path": "/", "query_string": b""})
    note_error(visit, outer)
    assert visit.error is not None
    said, steps = visit.error
    assert said == "ValueError: outer"
    assert len(steps) == 2
