"""The share of the reference's gain: estimates, intervals, verdicts."""

import numpy as np
import pytest

from course_app.grading.race import FEWEST_ROUNDS
from course_app.grading.share import GainShare


def rounds(
    random: np.random.Generator,
    speedup: float,
    reference: float = 4.0,
    count: int = 12,
    noise: float = 0.1,
) -> GainShare:
    """Windows of a machine whose speed drifts, with noise of each window on top."""
    drift = np.exp(np.cumsum(random.normal(0, 0.2, count)))
    jitter = np.exp(random.normal(0, noise, (3, count)))
    return GainShare(
        10 * drift * jitter[0], 10 / speedup * drift * jitter[1], 10 / reference * drift * jitter[2]
    )


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def test_as_fast_as_the_reference_is_a_share_of_one(random: np.random.Generator) -> None:
    share = rounds(random, speedup=4.0)
    assert share.interval().low < 1.0 < share.interval().high
    assert share.verdict() is True


def test_as_slow_as_the_baseline_is_a_share_of_zero(random: np.random.Generator) -> None:
    share = rounds(random, speedup=1.0)
    assert share.interval().low < 0.0 < share.interval().high
    assert share.verdict() is False


def test_the_square_root_of_the_speedup_is_one_half(random: np.random.Generator) -> None:
    assert rounds(random, speedup=2.0).interval().estimate == pytest.approx(0.5, abs=0.1)


def test_near_the_bar_there_is_no_verdict(random: np.random.Generator) -> None:
    assert rounds(random, speedup=2.0, noise=0.3).verdict() is None


def test_interval_and_verdict_agree(random: np.random.Generator) -> None:
    for speedup in (1.0, 1.5, 1.8, 2.0, 2.3, 3.0, 4.0, 8.0):
        share = rounds(random, speedup)
        interval = share.interval()
        assert interval.low <= interval.estimate <= interval.high
        if share.verdict() is True:
            assert interval.low >= 0.48
        if share.verdict() is False:
            assert interval.high <= 0.52


def test_a_reference_without_a_gain_gives_no_verdict(random: np.random.Generator) -> None:
    assert rounds(random, speedup=1.0, reference=1.1).verdict() is None
    assert rounds(random, speedup=9.0, reference=1.1).verdict() is None


def test_wrong_verdicts_are_rare_on_a_noisy_machine(random: np.random.Generator) -> None:
    """Looked at after each round from the fourth, as a check does, with very noisy windows."""
    for speedup, wrong in ((1.0, True), (4.0, False)):
        verdicts = [first_verdict(rounds(random, speedup, count=16, noise=0.5)) for _ in range(150)]
        assert verdicts.count(wrong) == 0
        assert verdicts.count(not wrong) > 75


def first_verdict(share: GainShare) -> bool | None:
    for n in range(FEWEST_ROUNDS, 17):
        part = GainShare(share.baseline[:n], share.learner[:n], share.reference[:n])
        if (verdict := part.verdict()) is not None:
            return verdict
    return None
