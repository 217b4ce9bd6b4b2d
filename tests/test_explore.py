"""Sliders measure what they say; a page that nobody runs keeps a figure instead of widgets."""

import math
from typing import Any

import numpy as np
import pytest

from course_app import explore
from course_app.explore import Explorer, panel
from course_app.plots.bars import Bar


class Measured:
    """What a figure needs of a measurement."""

    def __init__(self, throughput: float, *wrong: str) -> None:
        self.throughput, self.wrong = throughput, wrong
        self.p50_ms = 1e3 / throughput if throughput else math.nan
        self.throughputs = throughput * np.array([0.9, 1.1, 0.95, 1.05, 1.0, 1.0, 0.9, 1.1, 1, 1])


def measure(pool_size: int, clients: int) -> Any:
    return Measured(100.0 * pool_size + clients)


def explorer() -> Explorer:
    return Explorer(measure, {"pool_size": [1, 2, 4], "clients": [1, 8, 64]})


def test_presets_go_from_the_first_values_to_the_last() -> None:
    assert explorer().presets() == [
        {"pool_size": 1, "clients": 1},
        {"pool_size": 2, "clients": 8},
        {"pool_size": 4, "clients": 64},
    ]


def test_the_figure_names_the_best_of_what_was_tried() -> None:
    tried = explorer()
    for preset in tried.presets():
        tried.try_out(**preset)
    said = (
        "pool size 4, clients 64: 4.58 [4.57, 4.58] times the throughput of pool size 1, clients 1"
    )
    assert str(tried.figure()) == said


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """The bars of the figures."""
    drawn: list[Bar] = []

    def noted(bars: list[Bar], *, title: str, unit: str) -> str:
        assert unit
        drawn.extend(bars)
        return title

    monkeypatch.setattr(explore, "plot_bars", noted)
    return drawn


def test_what_answers_wrongly_is_not_the_best_however_fast(drawn: list[Bar]) -> None:
    tried: Any = explorer()
    tried.tried = [("a", Measured(100)), ("b", Measured(900, "status 500")), ("c", Measured(200))]
    assert tried.figure().startswith("c: ")
    assert [bar.factor for bar in drawn] == pytest.approx(
        [1.0, math.nan, 2.0], nan_ok=True, rel=0.1
    )
    assert drawn[1].below == "answers were wrong"


def test_nothing_is_compared_with_wrong_answers(drawn: list[Bar]) -> None:
    tried: Any = explorer()
    tried.tried = [("a", Measured(100, "a: status 500")), ("b", Measured(900))]
    assert tried.figure() == "No comparison: answers were wrong. a: status 500"
    assert all(math.isnan(bar.factor) for bar in drawn)


def test_slow_settings_have_figures_and_those_without_answers_a_dash(drawn: list[Bar]) -> None:
    tried: Any = explorer()
    tried.tried = [("a", Measured(0.4)), ("b", Measured(0.0))]
    tried.figure()
    assert [bar.below for bar in drawn] == [
        "0.4 requests/s, p50 2500.0 ms",
        "0 requests/s, p50 - ms",
    ]


def test_the_button_measures_what_the_sliders_say() -> None:
    tried = explorer()
    tried.try_out(pool_size=1, clients=1)
    pool_size, clients, button, _ = panel(tried).children
    pool_size.value, clients.value = 4, 8
    button.click()
    assert tried.tried[-1][0] == "pool size 4, clients 8"
    assert not button.disabled


def test_without_a_reader_a_figure_is_shown_and_no_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(explore, "display", shown.append)
    monkeypatch.setenv(explore.HEADLESS, "1")
    explore.explore(measure, pool_size=[1, 2], clients=[1, 8])
    assert [type(each).__name__ for each in shown] == ["Figure"]


def test_the_best_is_shown_however_many_came_after_it() -> None:
    tried = explorer()
    tried.try_out(pool_size=2, clients=1)
    tried.try_out(pool_size=4, clients=1)
    for clients in range(10):
        tried.try_out(pool_size=1, clients=clients)
    shown = [name for name, _ in tried._shown()]
    assert len(shown) == 8
    assert shown[:3] == [
        "pool size 2, clients 1",
        "pool size 4, clients 1",
        "pool size 1, clients 4",
    ]
    assert str(tried.figure()).startswith("pool size 4, clients 1: ")


def test_a_measurement_that_fails_shows_its_own_error_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallow(*_: object) -> bool:
        return True

    tried = explorer()
    tried.try_out(pool_size=1, clients=1)
    *_, button, output = panel(tried).children
    # as in a notebook, where it shows the error
    monkeypatch.setattr(type(output), "__exit__", swallow)
    monkeypatch.setattr(tried, "measure", None)
    (pressed,) = button._click_handlers.callbacks  # `click` hides what it raises
    pressed(button)
    assert not button.disabled
    assert len(tried.tried) == 1


def test_no_setting_is_measured_twice_for_want_of_values() -> None:
    assert Explorer(measure, {"pool_size": [1], "clients": [1, 8]}).presets() == [
        {"pool_size": 1, "clients": 1},
        {"pool_size": 1, "clients": 8},
    ]
    assert Explorer(measure, {"pool_size": [1], "clients": [8]}).presets() == [
        {"pool_size": 1, "clients": 8}
    ]


@pytest.mark.parametrize("sliders", [{}, {"pool_size": []}])
def test_without_values_there_is_nothing_to_explore(sliders: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="Each slider needs values"):
        explore.explore(measure, **sliders)
