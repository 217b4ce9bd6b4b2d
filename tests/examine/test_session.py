"""From a user's words to the reports, where one of two versions cannot be examined."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from example_report import REPORT

from course_app.examine import session
from course_app.examine.findings import Report
from course_app.examine.session import Learned
from course_app.examine.target import CannotExamine, Target
from course_app.examine.traffic import Traffic
from course_app.load import get

FIRST, OTHER = (Target(f"{name}.py:app", name, "", "app", ".", ()) for name in ("a", "b"))


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Ctrl-C comes while the second version is started."""
    stop = threading.Event()

    def learn(target: Target, _services: object, _wishes: object, told: Callable[..., None]) -> Any:
        if target is OTHER:
            stop.set()
        told("starting the app", 0.0)
        return Learned(Traffic((get("/"),)), {})

    monkeypatch.setattr(session, "learn", learn)
    monkeypatch.setattr(session, "examine_now", _examined)
    return stop


def _examined(*_: object, **__: object) -> Report:
    return REPORT


def test_the_first_report_is_there_though_the_second_version_was_stopped(
    stop: threading.Event,
) -> None:
    first, other = session.run(FIRST, {}, against=OTHER, stop=stop)
    assert other is None
    assert first.findings == REPORT.findings
    assert first.against == ""
    assert first.not_looked_at[-1] == "b.py:app was not examined: it was stopped before that."


def test_a_second_version_that_does_not_start_is_told(
    stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learn(target: Target, *_: object) -> Any:
        if target is OTHER:
            raise CannotExamine("b does not start.")
        return Learned(Traffic((get("/"),)), {})

    monkeypatch.setattr(session, "learn", learn)
    with pytest.raises(CannotExamine, match="b does not start"):
        session.run(FIRST, {}, against=OTHER, stop=stop)
