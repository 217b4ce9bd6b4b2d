import math

import pytest

from course_app.measure.noise import NoiseReport
from course_app.measure.sweep import Point, Sweep, _itinerary

CALM = NoiseReport(wall_seconds=1.0, cores=2, others_cores=0.0, server_wait_share=0.0)
SWEEP = Sweep(
    "rows",
    "p50",
    {
        "slow": (Point(1, {"p50": (4.0, 5.0, 6.0)}), Point(9, {"p50": (40.0, 50.0, 60.0)})),
        "fast": (Point(1, {"p50": (1.0, 2.0, 3.0)}), Point(9, {"p50": (1.0, 2.0, 3.0)})),
    },
    "GET /",
    CALM,
)


def test_growth_is_between_two_values_of_one_series() -> None:
    growth = SWEEP.growth("slow", 1, 9)
    assert growth.estimate == 10
    assert [growth.low, growth.high] == pytest.approx([40 / 6, 15])


def test_a_window_in_which_nothing_happened_leaves_a_growth_without_an_upper_limit() -> None:
    stuck = Point(1, {"p50": (0.0, 5.0, 6.0)})
    growth = Sweep("rows", "p50", {"a": (stuck, SWEEP.at("slow", 9))}, "GET /", CALM).growth(
        "a", 1, 9
    )
    assert growth.estimate == 10
    assert growth.high == math.inf


def test_a_ratio_is_between_two_series_at_one_value() -> None:
    ratio = SWEEP.ratio("slow", "fast", 9)
    assert ratio.estimate == 25
    assert [ratio.low, ratio.high] == pytest.approx([40 / 3, 60])


def test_values_are_gone_through_forth_and_back() -> None:
    order = [(visit, value) for visit, value, _ in _itinerary(3, (1, 4, 16), ["a"])]
    assert order == [(0, 1), (0, 4), (0, 16), (1, 16), (1, 4), (1, 1), (2, 1), (2, 4), (2, 16)]
    assert [name for *_, name in _itinerary(1, (1, 4), ["a", "b"])] == ["a", "b", "a", "b"]


def test_a_best_is_named_where_its_windows_are_ahead_of_all_others() -> None:
    slow, fast = SWEEP.message.split("; ")
    assert slow == "slow: best at rows 1, 5.00 [4.00, 6.00] ms"
    assert fast == "fast: the windows do not tell where it is best"


@pytest.mark.parametrize("points", [1, 2])
def test_one_window_or_one_value_tells_no_best(points: int) -> None:
    values = (Point(1, {"p50": (4.0,)}), Point(9, {"p50": (40.0,)}))[:points]
    message = Sweep("limit, requests", "p50", {"a": values}, "GET /", CALM).message
    assert message == "a: the windows do not tell where it is best"
