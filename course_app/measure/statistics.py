"""The statistics of paired, noisy measurements: intervals and three-way verdicts.

Everything works on logarithms of ratios: a speed-up of 2 and a slow-down of 2 are then
equally far from "no change", and the noise of a shared machine is nearly symmetric.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: The share of pairs cut off at each end: one preempted window in five does not count.
TRIM = 0.2

#: Looked at after every pair, 99 % keeps wrong verdicts rare; the repeated looks are in
#: the simulations that this level was chosen by.
CONFIDENCE = 0.99

#: A change that gains less than a tenth is hardly worth a line of code, and a shared
#: two-core machine cannot resolve much less. Lessons ask "is it at least this much faster?".
WORTH_A_CHANGE = 1.1

#: So many requests have to be slower than a percentile before it says more than who was unlucky.
_SLOWER_REQUESTS = 10

#: For a figure that the system does not tell.
NOT_KNOWN = "not known"


class Verdict(StrEnum):
    """What an interval says about a bar. There is no verdict by point estimate."""

    FASTER = "faster"
    NOT_FASTER = "not faster"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval that holds the truth with the given confidence."""

    estimate: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    def verdict(self, at_least: float = WORTH_A_CHANGE) -> Verdict:
        """Faster if the whole interval lies above the bar, not faster if all of it below."""
        answers = {True: Verdict.FASTER, False: Verdict.NOT_FASTER, None: Verdict.CANNOT_TELL}
        return answers[self.above(at_least)]

    def above(self, bar: float) -> bool | None:
        """Is the truth above the bar? None where the interval holds the bar."""
        return True if self.low > bar else False if self.high < bar else None

    def below(self, bar: float) -> bool | None:
        """Is the truth below the bar? None where the interval holds the bar."""
        above = self.above(bar)
        return None if above is None else not above

    def in_words(self, name: str, other: str) -> str:
        """What a speed-up says of one against another: no more, and no less, than its interval."""
        if self.verdict() is Verdict.FASTER:
            return f"{name} is {self.times} as fast as {other}"
        if self.high < 1 / WORTH_A_CHANGE:
            return f"{name} is slower than {other}: {self}"
        if self.verdict() is Verdict.CANNOT_TELL and self.low > 1:
            return f"{name} is somewhat faster than {other}: {self}"
        if self.verdict() is Verdict.CANNOT_TELL:
            return f"cannot tell whether {name} is faster than {other}: {self}"
        return f"{name} is {'hardly' if self.low > 1 else 'not'} faster than {other}: {self}"

    def exp(self) -> "Interval":
        """From log-ratios to ratios."""
        return Interval(
            _exp(self.estimate), _exp(self.low), _exp(self.high), confidence=self.confidence
        )

    def inverse(self) -> "Interval":
        """From a speed-up to the cost: how many times as much the other side takes."""
        return Interval(1 / self.estimate, 1 / self.high, 1 / self.low, self.confidence)

    @property
    def factor(self) -> str:
        """The estimate as a factor, such as ``9.1x``."""
        return NOT_KNOWN if math.isnan(self.estimate) else f"{_factor(self.estimate)}x"

    @property
    def times(self) -> str:
        """The same in a sentence: ``9.1 [8.2, 10] times``."""
        return NOT_KNOWN if math.isnan(self.estimate) else f"{self._as_factor('')} times"

    def __str__(self) -> str:
        return NOT_KNOWN if math.isnan(self.estimate) else self._as_factor("x")

    def _as_factor(self, sign: str) -> str:
        estimate, low, high = self._told(_factor)
        return f"{estimate}{sign}{self._limits(low, high)}"

    def __format__(self, spec: str) -> str:
        """As a factor; with a format as a quantity: ``f"{lag:.0f} ms"`` is ``201 [190, 214] ms``.

        ``significant`` is a format, too: two digits, however large or small the numbers are, or
        more where the limits would look alike.
        """
        if not spec:
            return str(self)
        if math.isnan(self.estimate):
            return NOT_KNOWN
        values = (self.estimate, self.low, self.high)
        if spec == "significant":
            estimate, low, high = self._told(significant)
        else:
            estimate, low, high = (format(value, spec) for value in values)
        return f"{estimate}{self._limits(low, high)}"

    def _limits(self, low: str, high: str) -> str:
        """In brackets; how sure they are only where it is less than everywhere else.

        Limits that hold nothing, such as those of a single window, are none.
        """
        if self.confidence <= 0:
            return ""
        sure = f" at {self.confidence:.0%}" if self.confidence < CONFIDENCE else ""
        return f" [{low}, {high}{sure}]"

    def _told(self, tell: Callable[[float, int], str]) -> list[str]:
        """With as many digits as it takes to tell the limits apart, 2 to 4; one like the other.

        Where the sign is not known, the wider limit says how much of the estimate is.
        """
        if self.low < 0 < self.high < math.inf:
            decimals = len(tell(max(-self.low, self.high), 2).partition(".")[2])
            return [f"{value:z.{decimals}f}" for value in (self.estimate, self.low, self.high)]
        for digits in (2, 3, 4):
            told = [tell(value, digits) for value in (self.estimate, self.low, self.high)]
            at_a_limit = told[0] in told[1:] and self.estimate not in (self.low, self.high)
            apart = told[1] != told[2] and (digits > 2 or not at_a_limit)
            if apart or math.isclose(self.low, self.high, rel_tol=1e-6):
                break
        decimals = max(len(text.partition(".")[2]) for text in told)
        if decimals > 2 or not max(self.estimate, self.high) < 10:
            return told
        return [f"{value:.{decimals}f}" for value in (self.estimate, self.low, self.high)]

    def to_dict(self) -> dict[str, float]:
        """Estimate and limits; what is unbounded is infinite, and what is not known NaN."""
        return asdict(self)


def mean_interval(values: Sequence[float] | Floats, confidence: float = CONFIDENCE) -> Interval:
    """The 20 % trimmed mean of ``values`` with its confidence interval.

    Standard error from the winsorized standard deviation, ``s_w / ((1 - 2 g) sqrt(n))``,
    with Student's t on ``n - 2 floor(g n) - 1`` degrees of freedom: Tukey and McLaughlin
    (1963), the one-sample case of Yuen (1974); see Wilcox, *Introduction to Robust
    Estimation and Hypothesis Testing*, section 4.3.

    Args:
        values: shape (n,), any unit; for speed-ups the logarithms of paired ratios.

    Raises:
        ValueError: fewer than two values.
    """
    array = np.sort(np.asarray(values, dtype=np.float64))
    n = array.size
    if n < 2:
        raise ValueError(f"an interval needs at least two values, not {n}")
    # It takes half a second to import: only who asks for an interval waits for it.
    from scipy.special import stdtrit

    cut = int(TRIM * n)
    kept = array[cut : n - cut]
    winsorized = np.clip(array, kept[0], kept[-1])
    error = float(np.std(winsorized, ddof=1)) / ((1 - 2 * TRIM) * math.sqrt(n))
    half = float(stdtrit(n - 2 * cut - 1, 0.5 + confidence / 2)) * error
    estimate = float(kept.mean())
    return Interval(estimate, estimate - half, estimate + half, confidence)


def speedup_interval(log_ratios: Sequence[float] | Floats) -> Interval:
    """The speed-up behind paired values of ``log(slow / fast)``, shape (pairs,).

    Pairs of which a side is not known (NaN) tell nothing. If fewer than two are left, neither does
    the interval: it holds everything.
    """
    pairs = np.asarray(log_ratios, dtype=np.float64)
    known = pairs[~np.isnan(pairs)]
    if known.size < 2:
        return Interval(math.nan, -math.inf, math.inf).exp()
    return mean_interval(known).exp()


def geometric_mean(values: Sequence[float] | Floats) -> Interval:
    """The geometric mean of positive values, shape (n,), any unit, with its 99 % interval.

    Those not known (NaN) are left out. A single one has no limits: its interval holds everything,
    with confidence 0. Of none nothing is known.
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    if known.size >= 2:
        return mean_interval(np.log(known)).exp()
    return Interval(float(known[0]) if known.size else math.nan, 0.0, math.inf, confidence=0.0)


def shown(value: float) -> str:
    """A whole number for a table, or that it is not known."""
    return NOT_KNOWN if math.isnan(value) else f"{value:,.0f}"


def enough_for(percent: float, requests: int) -> bool:
    """Do so many requests tell that percentile? p90 takes 100 of them, p99 takes 1,000."""
    return requests * (100 - percent) >= 100 * _SLOWER_REQUESTS


def significant(value: float, digits: int = 2) -> str:
    """A number with two significant digits, without an exponent: 0.053, 1.9, 26, 710."""
    if math.isnan(value):
        return NOT_KNOWN
    if value == 0 or math.isinf(value):
        return str(value)
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude >= digits - 1:
        return f"{round(value, digits - 1 - magnitude):.0f}"
    return f"{value:.{digits - 1 - magnitude}f}"


def _factor(value: float, digits: int = 2) -> str:
    # Around 1 the second decimal decides whether anything changed.
    return f"{value:.{digits}f}" if 0.5 <= value < 2 else significant(value, digits)


def _exp(value: float) -> float:
    # A handful of wild pairs can give limits beyond what a float's exponent holds.
    return math.exp(min(max(value, -500.0), 500.0))
