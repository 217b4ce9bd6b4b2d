"""What it takes to answer over a link: the server's CPU time, then the bytes on their way.

The link is a number, not a network: its speed is given. What a real one adds is left out: loss,
and round trips, of which more bytes take more, as TCP starts slowly. So a real link's break-even
is rather higher.
"""

import math
from dataclasses import dataclass

import numpy as np

from course_app.measure.statistics import Floats, Interval, mean_interval


@dataclass(frozen=True)
class Delivery:
    """One way to answer.

    cpu_ms: what a request costs the server, round by round, shape (rounds,), ms
    size_bytes: what has to travel
    """

    cpu_ms: Floats
    size_bytes: float

    def ms(self, megabits: float | Floats) -> Floats:
        """The time to the last byte over links of so many Mbit/s, in ms, shape of ``megabits``."""
        cpu_ms = mean_interval(self.cpu_ms).estimate
        return np.asarray(cpu_ms + 8 * self.size_bytes / (1e3 * megabits))


def break_even(smaller: Delivery, larger: Delivery) -> Interval:
    """The speed of a link, in Mbit/s, at which both ways take the same time.

    On slower links the smaller answer is there first. Rounds are paired: both were measured
    next to each other. Those that only one of them has are left out. Infinite where the smaller
    answer costs no more CPU.
    """
    saved_kilobits = 8 * (larger.size_bytes - smaller.size_bytes) / 1e3
    rounds = min(len(smaller.cpu_ms), len(larger.cpu_ms))
    extra_ms = mean_interval(smaller.cpu_ms[:rounds] - larger.cpu_ms[:rounds])

    def speed(ms: float) -> float:
        return saved_kilobits / ms if ms > 0 else math.inf

    return Interval(speed(extra_ms.estimate), speed(extra_ms.high), speed(extra_ms.low))
