"""A number to commit to before measuring: the gap to the measured one is what stays in mind."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from course_app.measure.statistics import Interval, significant

Measured = Interval | float
#: Within this factor of what was measured a prediction is close, which is called good.
CLOSE_FACTOR = 1.5


@dataclass(frozen=True)
class Prediction:
    """What the learner expects, such as 3 ("times as fast with a pool").

    ``value`` is None as long as nothing was said. ``keep`` is told what was measured instead, and
    says why it could not be kept.
    """

    value: float | None
    what: str
    keep: Callable[[Interval], str] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        if self.value is None:
            return f"Your guess: ... {self.what}.\nPut your number in the place of the three dots."
        return f"You predict: {significant(self.value)} {self.what}."

    def against(self, measured: Measured) -> str:
        """How the prediction compares with what was measured or counted, in one sentence."""
        found = measured if isinstance(measured, Interval) else _counted(measured)
        if math.isnan(found.estimate):
            return f"This system does not tell how many {self.what}."
        said = in_digits(found)
        if self.value is None:
            return f"Measured {said} {self.what}; nothing was predicted."
        not_kept = self.keep(found) if self.keep else ""
        compared = f"Predicted {_number(self.value)}, measured {said}: {_gap(self.value, found)}."
        return f"{compared} {not_kept}".rstrip()


def inside(value: float, found: Interval) -> bool:
    """Does the interval hold the number? One of confidence 0 holds all of them and says nothing."""
    return found.confidence > 0 and found.low <= value <= found.high


def in_digits(found: Interval) -> str:
    """What was measured with its interval; what was counted has none."""
    counted = found.low == found.high
    return _exactly(found.estimate) if counted else found.times.removesuffix(" times")


def _counted(count: float) -> Interval:
    return Interval(count, count, count)


def _number(value: float) -> str:
    return _exactly(value) if float(value).is_integer() else significant(value)


def _exactly(value: float) -> str:
    """With all digits of a whole number, which ``g`` cuts after six."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,g}"


def _gap(value: float, found: Interval) -> str:
    if value == found.estimate:
        return "that is it"
    if inside(value, found):
        return "that is inside of the interval"
    ratio = found.estimate / value if value else float("inf")
    if 1 / CLOSE_FACTOR < ratio < CLOSE_FACTOR:
        return "close"
    if ratio <= 0 or ratio == float("inf"):
        return "not at all"
    return f"{significant(max(ratio, 1 / ratio))} times off"
