"""A race goes forth and back, ends when it is decided, and says so when it is not."""

from contextlib import nullcontext
from itertools import cycle
from types import SimpleNamespace
from typing import Any

import pytest

from course_app.grading.evidence import CannotTell
from course_app.grading.failures import TooLittleGain
from course_app.grading.race import FEWEST_ROUNDS, MOST_ROUNDS, WINDOW_SECONDS, Race

JITTER = (1.0, 1.02, 0.98)


@pytest.fixture
def rounds() -> list[str]:
    """Whose windows came, in their order."""
    return []


def race(
    monkeypatch: pytest.MonkeyPatch,
    rounds: list[str],
    baseline: float,
    *learner: float,
    metric: str = "p50",
) -> Race:
    """A race whose reference takes 1 ms, and whose learner takes these in turn."""
    values = {"baseline": cycle([baseline]), "reference": cycle([1.0]), "learner": cycle(learner)}
    jitter = cycle(JITTER)

    def window(_race: Race, role: str, _targets: object) -> float:
        rounds.append(role[0])
        return next(values[role]) * next(jitter)

    monkeypatch.setattr(Race, "_window", window)
    monkeypatch.setattr(Race, "_warm_up", lambda *_: None)
    exam: Any = SimpleNamespace(
        candidate=lambda role: role,
        target=lambda *_: nullcontext(),
        new_seed=lambda: 1,
        progress=lambda _: None,
    )
    nothing: Any = None
    return Race(exam, nothing, 4, metric, same=False)


def test_a_clear_race_ends_after_the_fewest_rounds(
    monkeypatch: pytest.MonkeyPatch, rounds: list[str]
) -> None:
    evidence = race(monkeypatch, rounds, 16.0, 1.0).run()
    assert evidence.numbers["rounds"] == FEWEST_ROUNDS
    assert "".join(rounds) == "blrrlb" * (FEWEST_ROUNDS // 2)


def test_who_wins_too_little_is_told_so(monkeypatch: pytest.MonkeyPatch, rounds: list[str]) -> None:
    with pytest.raises(TooLittleGain) as told:
        race(monkeypatch, rounds, 16.0, 8.0).run()
    assert told.value.numbers["rounds"] == FEWEST_ROUNDS
    assert race(monkeypatch, rounds, 16.0, 8.0).run(bar=0.1)


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("p50", "gain: 4.0 times as fast as the baseline, the reference 16 times"),
        ("cpu", "gain: 25% of the baseline's CPU, the reference 6%"),
    ],
)
def test_evidence_says_what_was_won_of_which(
    monkeypatch: pytest.MonkeyPatch, rounds: list[str], metric: str, told: str
) -> None:
    monkeypatch.setitem(globals(), "JITTER", [1.0])
    evidence = race(monkeypatch, rounds, 16.0, 4.0, metric=metric).run(bar=0.3)
    assert evidence.observed.endswith(told)


def test_an_undecided_race_goes_on_to_the_most_rounds_and_cannot_tell(
    monkeypatch: pytest.MonkeyPatch, rounds: list[str]
) -> None:
    with pytest.raises(CannotTell) as told:
        race(monkeypatch, rounds, 16.0, 2.0, 8.0).run()
    assert told.value.numbers["rounds"] == MOST_ROUNDS


@pytest.mark.parametrize(
    ("metric", "first_seconds"), [("p50", 0.4), ("cpu", 1.0)], ids=["answers", "CPU"]
)
def test_windows_follow_what_answers_take_once_caches_are_warm(
    metric: str, first_seconds: float
) -> None:
    """The first ones hold some of the slow answers, all later ones are short."""
    seconds: dict[str, list[float]] = {"baseline": [], "learner": [], "reference": []}
    took = {"baseline": 16.0, "learner": 1.0, "reference": 1.0}
    clock = cycle(JITTER)
    cpu = dict.fromkeys(seconds, 0.0)

    def closed(role: str, **window: Any) -> Any:
        asked = window.get("seconds")
        cold = asked is None
        if not cold:
            seconds[role].append(asked)
        cpu[role] += took[role] * next(clock)
        p50_ms = 200.0 if cold else took[role] * next(clock)
        return SimpleNamespace(percentile=lambda _: p50_ms, completed=9, kept=())

    def candidate(role: str) -> Any:
        return SimpleNamespace(role=role, cpu_seconds=lambda: cpu[role])

    exam: Any = SimpleNamespace(
        candidate=candidate,
        target=lambda candidate, *_: nullcontext(candidate.role),
        generator=SimpleNamespace(closed=closed),
        refuse_errors=lambda *_: None,
        blaming=lambda *_: nullcontext(),
        alone=lambda _: nullcontext(),
        new_seed=lambda: 1,
        progress=lambda _: None,
    )
    nothing: Any = None
    Race(exam, nothing, 4, metric, same=False).run()
    for lengths in seconds.values():
        assert len(lengths) == FEWEST_ROUNDS
        assert lengths[0] == first_seconds
        assert set(lengths[1:]) == {WINDOW_SECONDS}
