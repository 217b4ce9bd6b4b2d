import math

import numpy as np
import pytest

from course_app.measure.transfer import Delivery, break_even
from course_app.plots import plot_transfer


def delivery(cpu_ms: float, size_bytes: float, noise: float = 0.0) -> Delivery:
    spread = np.array([0.8, 0.9, 1.0, 1.0, 1.1, 1.2])
    return Delivery(cpu_ms * spread if noise else np.full(6, cpu_ms), size_bytes)


PLAIN, SMALL = delivery(0.5, 100_000), delivery(2.5, 20_000)


def test_a_delivery_takes_its_cpu_and_then_its_bytes() -> None:
    # 100 000 bytes are 0.8 Mbit.
    assert PLAIN.ms(1.0) == pytest.approx(0.5 + 800)
    assert PLAIN.ms(np.array([100.0, 1000.0])).tolist() == pytest.approx([8.5, 1.3])


def test_at_the_break_even_speed_both_ways_take_the_same_time() -> None:
    speed = break_even(SMALL, PLAIN).estimate
    assert speed == pytest.approx(320)
    assert SMALL.ms(speed) == pytest.approx(PLAIN.ms(speed))
    assert SMALL.ms(speed / 2) < PLAIN.ms(speed / 2)


def test_noise_of_the_cpu_widens_the_interval_on_both_sides() -> None:
    speed = break_even(delivery(2.5, 20_000, noise=1), PLAIN)
    assert speed.low < speed.estimate < speed.high
    assert speed.above(speed.estimate) is None


def test_rounds_that_only_one_way_has_add_nothing() -> None:
    longer = Delivery(np.append(PLAIN.cpu_ms, [90.0] * 3), PLAIN.size_bytes)
    assert break_even(SMALL, longer) == break_even(SMALL, PLAIN)


def test_what_is_smaller_and_costs_no_more_pays_on_every_link() -> None:
    speed = break_even(delivery(0.4, 20_000), PLAIN)
    assert math.isinf(speed.estimate)
    assert speed.above(1e9) is True


def test_an_unclear_cost_leaves_the_upper_limit_open() -> None:
    larger = Delivery(np.array([0.5, 0.6, 0.4, 0.5, 0.7, 0.3]), 100_000)
    smaller = Delivery(np.array([0.55, 0.5, 0.6, 0.6, 0.55, 0.45]), 20_000)
    speed = break_even(smaller, larger)
    assert speed.high == math.inf
    assert speed.below(1e9) is None


def test_the_figure_names_each_way_and_where_another_one_is_first() -> None:
    figure = plot_transfer(
        {"plain": PLAIN, "small": SMALL},
        title="Small is first on slow links",
        measured={"plain": [(10.0, 81.0, 80.0, 85.0)]},
    )
    assert figure.svg is not None
    assert str(figure) == "Small is first on slow links"
