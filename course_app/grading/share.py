"""The share of the reference's gain: how much of what can be won has been won?

A share of one is as fast as the reference, zero as slow as the baseline. On a logarithmic
scale one half means the square root of the reference's speed-up, which is as far from "no
gain" as from "the whole gain": where a decision is safest.
"""

from dataclasses import dataclass

import numpy as np

from course_app.measure.statistics import Floats, Interval, mean_interval

#: The share that passes: see above.
BAR = 0.5

#: A reference that gains less than this on the machine at hand cannot be divided by. Exercises
#: are made so that it gains 3x or more.
LEAST_REFERENCE_SPEEDUP = 1.5

# Shares looked at for the interval; what lies beyond is reported as the end of the range.
_SHARES = np.linspace(-1.0, 3.0, 201)


@dataclass(frozen=True)
class GainShare:
    """Paired values of one metric, shape (rounds,) each; smaller is faster (ms, µs)."""

    baseline: Floats
    learner: Floats
    reference: Floats

    @property
    def speedup(self) -> Interval:
        """The learner's speed-up over the baseline."""
        return mean_interval(self._gain()).exp()

    @property
    def reference_speedup(self) -> Interval:
        """The reference's speed-up over the baseline."""
        return mean_interval(self._reference_gain()).exp()

    def contrast(self, share: float = BAR) -> Interval:
        """``log(speed-up) - share * log(reference speed-up)``, taken round by round.

        One number a round, so that its interval is that of a single trimmed mean, exact
        whatever the two gains have in common: they share the baseline's window. It lies
        above zero when more than this share of the gain has been won.
        """
        return mean_interval(self._gain() - share * self._reference_gain())

    def verdict(self, bar: float = BAR) -> bool | None:
        """Is the share above the bar? None while the interval holds the bar."""
        if not self._reference_gains():
            return None
        contrast = self.contrast(bar)
        if contrast.low > 0:
            return True
        return False if contrast.high < 0 else None

    def interval(self) -> Interval:
        """The shares that the rounds do not exclude, with the same confidence.

        All shares whose contrast holds zero: Fieller's way to an interval for a ratio,
        so a share's interval lies above the bar exactly when :meth:`verdict` is true.
        """
        contrasts = [self.contrast(float(share)) for share in _SHARES]
        centre = int(np.argmin([abs(c.estimate) for c in contrasts]))
        held = [s for s, c in zip(_SHARES, contrasts, strict=True) if c.low <= 0 <= c.high]
        estimate = float(_SHARES[centre])
        if not held:
            return Interval(estimate, estimate, estimate)
        return Interval(estimate, float(min(held)), float(max(held)))

    def _gain(self) -> Floats:
        return np.asarray(np.log(self.baseline) - np.log(self.learner))

    def _reference_gain(self) -> Floats:
        return np.asarray(np.log(self.baseline) - np.log(self.reference))

    def _reference_gains(self) -> bool:
        speedup = self.reference_speedup
        return speedup.low > 1 and speedup.estimate >= LEAST_REFERENCE_SPEEDUP
