"""The bench of verdicts: its two apps differ as it says, and its requirements can fail."""

import asyncio
from collections import Counter
from contextlib import nullcontext
from typing import Any

import pytest

from benchmarks import decisions
from course_app.measure.statistics import Verdict

FASTER, NOT_FASTER, CANNOT_TELL = Verdict


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The pairs of apps that are compared, of which each is said to be faster and not faster."""
    pairs: list[tuple[Any, Any]] = []

    def ask(_generator: Any, _compare: Any, a: Any, b: Any, _bar: float) -> tuple[Any, float]:
        pairs.append((a, b))
        return Counter({FASTER: 1, NOT_FASTER: 1}), 0.0

    monkeypatch.setattr(decisions, "BUSY_LOOPS", 0)
    monkeypatch.setattr(decisions, "Generator", nullcontext)
    monkeypatch.setattr(decisions, "_ask", ask)
    return pairs


def test_the_longer_app_does_three_times_the_work_of_the_shorter_one(
    asked: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter((1000, 1600))  # no two looks at the machine find the same
    monkeypatch.setattr(decisions, "_rounds_for", lambda _seconds: next(found))
    decisions.run()
    done: list[int] = []
    monkeypatch.setattr(decisions, "sum", lambda work: done.append(len(work)), raising=False)

    async def send(_message: Any) -> None:
        pass

    for pair in asked:
        for app in pair:
            asyncio.run(app({"type": "http"}, None, send))
    assert done == [1000, 1000] * 2 + [3000, 1000] * 2


@pytest.mark.usefixtures("asked")
def test_each_wrong_verdict_is_missed() -> None:
    assert list(decisions.run().requirements.values()) == [False] * 4


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("said", "held"),
    [
        ({CANNOT_TELL: 9}, [None] * 4),
        ({CANNOT_TELL: 9, FASTER: 1}, [False, False, True, True]),
        ({CANNOT_TELL: 9, NOT_FASTER: 1}, [True, True, False, False]),
    ],
)
def test_who_never_decides_holds_nothing(
    said: dict[Verdict, int], held: list[bool | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "_ask", lambda *_: (Counter(said), 0.0))
    assert list(decisions.run().requirements.values()) == held
