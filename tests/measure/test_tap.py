"""What is counted on the wire is that of right answers."""

import pytest
from fastapi import FastAPI

from course_app.load import Generator
from course_app.measure.tap import TapFailed, WireTap
from course_app.network import Wire


def test_wrong_answers_are_not_counted() -> None:
    with (
        Generator() as generator,
        Wire({"postgres": "postgresql://127.0.0.1:1/nothing"}, 0.0) as wire,
        pytest.raises(TapFailed, match=r"GET /nowhere: expected status 200, got status 404"),
    ):
        WireTap(generator, wire).count(FastAPI(), "/nowhere")
