"""A benchmark whose subject never decides, or never answers, does not hold."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import answered, checks, generator, race, serving
from course_app.errors import CourseError
from course_app.grading import Outcome

PASSED, FAILED, UNSURE, BROKEN = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.CANNOT_TELL,
    Outcome.COULD_NOT_CHECK,
)


@pytest.mark.parametrize(
    ("outcomes", "held"),
    [
        ({UNSURE: 20}, None),
        ({Outcome.NOT_ATTEMPTED: 20}, None),
        ({PASSED: 1, UNSURE: 19}, True),
        ({PASSED: 19, BROKEN: 1}, None),
        ({PASSED: 19, FAILED: 1}, False),
        ({FAILED: 1, BROKEN: 19}, False),
    ],
)
def test_checks_that_never_decide_hold_nothing(
    outcomes: dict[Outcome, int], held: bool | None
) -> None:
    question: Any = SimpleNamespace(never=FAILED)
    assert checks._held(question, checks.Said(Counter(outcomes))) is held


@pytest.mark.parametrize("verdict", [None, True, False])
def test_races_that_never_decide_or_always_alike_fail(
    verdict: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(race, "RACES", 2)
    monkeypatch.setattr(race, "_race", lambda *_: (verdict, 4))
    assert race.run().failed


NOTHING: Any = SimpleNamespace(
    completed=0, throughput=0.0, error_count=9, errors_by_kind={"status": 9}
)
DEAF: Any = SimpleNamespace(
    connect=lambda *_, **__: None,
    disconnect=lambda _: None,
    closed=lambda *_, **__: NOTHING,
    alternate=lambda *_, **__: [NOTHING, NOTHING],
)


@pytest.mark.parametrize(
    "measure",
    [
        lambda: answered(NOTHING),
        lambda: generator._ours(DEAF, DEAF),
        lambda: serving._windows(DEAF, "a", "b"),
        lambda: serving._turns(DEAF, "a", "b"),
    ],
)
def test_a_window_without_a_right_answer_is_one_sentence(measure: Any) -> None:
    with pytest.raises(CourseError, match=r"answered rightly \(status\): see that the server"):
        measure()
