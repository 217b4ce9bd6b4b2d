"""The interval holds the truth as often as it says, and verdicts follow the interval alone."""

import math

import numpy as np
import pytest

from course_app.measure.statistics import (
    Interval,
    Verdict,
    geometric_mean,
    mean_interval,
    significant,
    speedup_interval,
)


@pytest.mark.parametrize("pairs", [6, 12, 16])
def test_a_99_percent_interval_holds_the_truth_in_99_of_100_samples(pairs: int) -> None:
    random = np.random.default_rng(7)
    samples = random.normal(loc=0.7, scale=0.3, size=(2000, pairs))
    intervals = [mean_interval(sample) for sample in samples]
    covered = sum(i.low <= 0.7 <= i.high for i in intervals)
    assert covered / len(intervals) == pytest.approx(0.99, abs=0.012)


def test_one_wild_pair_in_ten_hardly_moves_the_estimate() -> None:
    steady = [0.69, 0.70, 0.71, 0.68, 0.72, 0.70, 0.69, 0.71, 0.70]
    wild = mean_interval([*steady, 25.0])
    assert wild.estimate == pytest.approx(0.70, abs=0.02)


def test_the_interval_agrees_with_students_when_nothing_is_trimmed() -> None:
    # With fewer than five values a fifth is less than one value, so nothing is cut; the
    # factor 1 / (1 - 2 * 0.2) then makes the interval wider than Student's, never narrower.
    from scipy import stats

    values = [1.0, 2.0, 3.0, 4.0]
    t = stats.ttest_1samp(values, 0).confidence_interval(0.99)
    ours = mean_interval(values)
    assert ours.low <= t.low
    assert ours.high >= t.high


def test_trimming_and_winsorizing_agree_with_scipy() -> None:
    from scipy import stats

    values = np.random.default_rng(3).normal(size=13)
    winsorized = np.asarray(stats.mstats.winsorize(values, limits=(0.2, 0.2)))
    error = winsorized.std(ddof=1) / (0.6 * np.sqrt(13))
    half = stats.t.ppf(0.995, 13 - 2 * 2 - 1) * error
    ours = mean_interval(values)
    assert ours.estimate == pytest.approx(stats.trim_mean(values, 0.2))
    assert ours.high - ours.estimate == pytest.approx(half)


def test_a_speedup_is_the_exponential_of_mean_log_ratios() -> None:
    speedup = speedup_interval(np.log([3.0, 3.1, 2.9, 3.0, 3.05, 2.95]))
    assert speedup.estimate == pytest.approx(3.0, rel=0.01)
    assert speedup.low < 3.0 < speedup.high


@pytest.mark.parametrize("ratios", [[], [0.3], [math.nan], [math.nan, 0.3]])
def test_fewer_than_two_known_pairs_tell_nothing(ratios: list[float]) -> None:
    speedup = speedup_interval(ratios)
    assert str(speedup) == "not known"
    assert speedup.verdict() is Verdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("values", "told"),
    [([], "not known"), ([math.nan], "not known"), ([200.0], "200"), ([200.0, math.nan], "200")],
)
def test_a_geometric_mean_of_fewer_than_two_has_no_limits(values: list[float], told: str) -> None:
    found = geometric_mean(values)
    assert f"{found:significant}" == told
    assert found.above(1.0) is None


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        (Interval(9.1, 8.2, 10.0), "9.1 [8.2, 10] times"),
        (Interval(9.1, 9.1, 9.1, confidence=0.0), "9.1 times"),
        (Interval(math.nan, 0.0, math.inf), "not known"),
    ],
)
def test_times_are_told_with_limits_or_without(interval: Interval, told: str) -> None:
    assert interval.times == told


def test_a_geometric_mean_lies_within_its_limits() -> None:
    found = geometric_mean([1.0, 10.0, 100.0])
    assert found.estimate == pytest.approx(10)
    assert found.low < 10 < found.high


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (2.0, 3.0, Verdict.FASTER),
        (1.0, 1.05, Verdict.NOT_FASTER),
        (1.0, 1.3, Verdict.CANNOT_TELL),
        (0.2, 0.4, Verdict.NOT_FASTER),
    ],
)
def test_the_verdict_is_told_by_the_whole_interval(
    low: float, high: float, verdict: Verdict
) -> None:
    # The estimate is far above the bar on purpose: it has no say.
    assert Interval(50.0, low, high).verdict(at_least=1.1) is verdict


def test_a_cost_is_the_inverse_of_a_speedup_and_its_lower_limit_that_of_the_upper() -> None:
    assert Interval(4.0, 2.0, 5.0, 0.95).inverse() == Interval(0.25, 0.2, 0.5, 0.95)


def test_a_quantity_is_shown_with_its_interval_in_any_format() -> None:
    lag = Interval(201.4, 190.2, 214.0)
    assert f"{lag:.0f} ms" == "201 [190, 214] ms"
    assert f"{Interval(0.125, 0.1, 0.15):.1%}" == "12.5% [10.0%, 15.0%]"
    assert f"{Interval(1234.5, 0.0123, 9.87):significant}" == "1200 [0.012, 9.9]"
    assert f"{Interval(201.6, 198.7, 203.8):significant}" == "202 [199, 204]"
    assert f"{Interval(5, 5, 5):significant}" == "5.0 [5.0, 5.0]"
    assert str(Interval(3.801, 3.796, 3.806)) == "3.80x [3.80, 3.81]"
    assert str(Interval(2.87, 2.82, 2.93)) == "2.87x [2.82, 2.93]"
    assert str(Interval(22.3, 21.6, 23, confidence=2 / 3)) == "22.3x [21.6, 23.0 at 67%]"
    assert f"{Interval(201.3, 190.2, 213.9, 0.9):.0f} ms" == "201 [190, 214 at 90%] ms"
    assert str(Interval(2.1, 2.1, 2.1, confidence=0)) == "2.1x"
    assert f"{lag}" == str(lag)
    assert f"{Interval(math.nan, math.nan, math.nan):.0f}" == "not known"


def test_fewer_than_two_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([1.0])


def test_wild_intervals_stay_finite() -> None:
    speedup = speedup_interval([0.0, 900.0])
    assert math.isfinite(speedup.high)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0534, "0.053"), (9.14, "9.1"), (26.3, "26"), (707.3, "710"), (1, "1.0"), (0, "0")],
)
def test_numbers_are_shown_with_two_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.2, 1.4, "new is 1.30 [1.20, 1.40] times as fast as old"),
        (1.05, 1.2, "new is somewhat faster than old: "),
        (0.95, 1.2, "cannot tell whether new is faster than old: "),
        (1.02, 1.08, "new is hardly faster than old: "),
        (0.97, 1.05, "new is not faster than old: "),
        (0.93, 0.98, "new is not faster than old: "),
        (0.5, 0.7, "new is slower than old: "),
    ],
)
def test_a_speedup_is_put_into_words_that_its_interval_bears(
    low: float, high: float, said: str
) -> None:
    assert Interval((low + high) / 2, low, high).in_words("new", "old").startswith(said)


def test_an_estimate_that_is_its_own_limit_needs_no_more_digits() -> None:
    assert str(Interval(0, 0, 1.468)) == "0.00x [0.00, 1.47]"
    assert str(Interval(0, 0, 9.05)) == "0.0x [0.0, 9.1]"


def test_an_estimate_and_its_limits_have_equally_many_digits_all_of_them_measured() -> None:
    assert str(Interval(1.52, 0.97, 3.44)) == "1.52x [0.97, 3.44]"
    assert str(Interval(4.56, 1.96, 7.89)) == "4.56x [1.96, 7.89]"
    assert str(Interval(9.1, 8.2, 10.4)) == "9.1x [8.2, 10]"
