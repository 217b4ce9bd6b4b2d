"""Comparisons: in which order windows come, when they end, and which way a ratio points."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from course_app.measure import compare
from course_app.measure.comparison import METRICS, Comparison, Variant
from course_app.measure.noise import NoiseReport
from course_app.measure.probes import Counts

NOISE = NoiseReport(wall_seconds=1.0, cores=2, others_cores=0.0, server_wait_share=0.0)
JITTER = np.array([1.0, 1.01, 0.99, 1.0, 1.02, 0.98])


def variant(name: str, ms: float) -> Variant:
    p50 = ms * JITTER
    rounds = {"p50": p50, "throughput": 1e3 / p50, "cpu": 30 * p50}
    return Variant(name, rounds, p50, Counts(6, ()))


@pytest.mark.parametrize("metric", METRICS)
def test_less_time_less_cpu_and_more_throughput_are_faster(metric: str) -> None:
    variants = (variant("slow", 8.0), variant("fast", 2.0))
    result = Comparison("GET /", 4, metric, "windows", variants, NOISE, 0.1)
    assert result.speedup().estimate == pytest.approx(4, rel=0.1)
    assert result.faster() is True
    assert replace(result, variants=variants[::-1]).faster() is False


def test_a_side_has_an_interval_in_the_metrics_own_unit() -> None:
    found = variant("fast", 2.0).interval("p50")
    assert 1.9 < found.low < found.estimate < found.high < 2.1
    assert found.estimate == pytest.approx(2.0, rel=0.01)


def side(name: str, ms: float) -> Any:
    subject: Any = SimpleNamespace(name=name, thread_ids=list)
    made = compare._Side(subject, Counts(0, ()))
    made.values = {metric: [] for metric in METRICS}
    made.values |= {"p50": list(ms * JITTER), "throughput": list(1e3 / (ms * JITTER))}
    return made


@pytest.mark.parametrize("metric", ["p50", "throughput"])
def test_it_is_settled_once_every_side_is_clearly_above_or_below_the_bar(metric: str) -> None:
    assert compare._settled([side("a", 8.0), side("b", 2.0), side("c", 8.0)], metric, 2.0)
    assert not compare._settled([side("a", 8.0), side("b", 2.0), side("c", 4.0)], metric, 2.0)


@pytest.mark.parametrize(("settled", "rounds"), [(True, compare.FEWEST_ROUNDS), (False, 9)])
def test_windows_go_forth_and_back_until_it_is_settled(
    monkeypatch: pytest.MonkeyPatch, settled: bool, rounds: int
) -> None:
    monkeypatch.setattr(compare, "_settled", lambda *_: settled)
    seen = windows_of(monkeypatch, [side("a", 1.0), side("b", 1.0)], most_rounds=9)
    assert "".join(seen) == ("abba" * 5)[: 2 * rounds]


@pytest.mark.parametrize(("slower", "rounds"), [(10.0, 10), (2.0, compare.MOST_ROUNDS)])
def test_what_is_decided_after_ten_rounds_needs_no_narrow_interval(
    monkeypatch: pytest.MonkeyPatch, slower: float, rounds: int
) -> None:
    wide, other = side("a", 1.0), side("b", 1.0)
    wide.values["p50"] = list(slower * np.resize([0.5, 1.0, 2.0], 16))
    other.values["p50"] = [1.0] * 16
    assert len(windows_of(monkeypatch, [wide, other], at_least=2.0)) == 2 * rounds


def windows_of(monkeypatch: pytest.MonkeyPatch, sides: list[Any], **options: Any) -> list[str]:
    """Whose window came when, of sides whose values are known beforehand."""
    seen = []

    def window(_generator: object, side: Any, _length: object) -> Any:
        seen.append(side.subject.name)
        return SimpleNamespace(generator_cpu_seconds=0.0, generator_seconds=0.1)

    monkeypatch.setattr(compare, "_prepare", lambda *_: (sides, []))
    monkeypatch.setattr(compare, "_window_length", lambda *_: {})
    monkeypatch.setattr(compare, "_one_window", window)
    monkeypatch.setattr(compare, "_comparison", lambda *_: None)
    nobody: Any = None
    compare.compare_windows(nobody, [each.subject for each in sides], **options)
    return seen
