"""How noisy the machine was while something was measured.

Two causes are told apart: processes that are not ours used cores, and the server's own
thread was ready to run but had to wait for one.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from course_app.system import cores, usage

#: Shares of our cores that others may use before a result calls the machine busy. Measured on
#: two cores: below a tenth, intervals stay within a few per cent of the quiet machine's.
BUSY_SHARE = 0.1
VERY_BUSY_SHARE = 0.4
#: With less than a core of our own, shares of a whole one: clocks that tick every 10 ms do not
#: tell less apart in the stretches that are looked at.
_FEWEST_CORES = 1.0


@dataclass(frozen=True)
class NoiseReport:
    """What else went on: shown below each result. None: the system does not tell.

    ``cores`` are those that we may use all the time, under a container's quota not always a whole
    number.
    """

    wall_seconds: float
    cores: float
    others_cores: float | None
    server_wait_share: float | None

    @property
    def badge(self) -> str:
        """One of ``calm``, ``busy``, ``very busy``, ``not known``: how much others took.

        The server's waiting is no part of it: on two cores it also waits for our own
        generator and database.
        """
        if self.others_cores is None:
            return "not known"
        share = self.others_cores / max(self.cores, _FEWEST_CORES)
        if share > VERY_BUSY_SHARE:
            return "very busy"
        return "busy" if share > BUSY_SHARE else "calm"

    @property
    def others(self) -> str:
        """In words: ``others used 0.1 of 2 cores``."""
        if self.others_cores is None:
            return "the system does not tell what others used"
        return f"others used {self.others_cores:.1f} of {cores.in_words(self.cores)}"

    def __str__(self) -> str:
        what = "Noise" if self.others_cores is None else "Machine"
        text = f"{what} {self.badge}: {self.others}"
        if self.server_wait_share is None:
            return text + "."
        return text + f", the server waited for a core {self.server_wait_share:.0%} of the time."

    def to_dict(self) -> dict[str, Any]:
        """All figures and the badge."""
        return {**asdict(self), "badge": self.badge}


@dataclass(frozen=True)
class _Reading:
    """Clocks at one moment, in seconds; None where the system does not tell."""

    wall: float
    all_cpu: float | None
    own_cpu: float | None
    waited: float | None


class NoiseMeter:
    """Adds up noise over the stretches between ``resume`` and ``pause``.

    Args:
        thread_ids: native ids of the server's threads in this process, whose waiting for a
            core is read from the kernel's scheduler statistics (Linux only).
    """

    def __init__(self, thread_ids: Sequence[int] = ()) -> None:
        self._thread_ids = tuple(thread_ids)
        self._wall = 0.0
        self._others: float | None = 0.0
        self._waited: float | None = 0.0

    def resume(self) -> None:
        """Begin a stretch. Reading takes some milliseconds: call it outside of windows."""
        self._at_start = self._read()

    def pause(self) -> None:
        """End the stretch that ``resume`` began."""
        then, now = self._at_start, self._read()
        everybody = _more(then.all_cpu, now.all_cpu)
        own = _more(then.own_cpu, now.own_cpu)
        waited = _more(then.waited, now.waited)
        others = None if everybody is None or own is None else max(0.0, everybody - own)
        self._wall += now.wall - then.wall
        self._others = _sum(self._others, others)
        self._waited = _sum(self._waited, waited)

    def report(self) -> NoiseReport:
        """The noise of all stretches so far."""
        wall = max(self._wall, 1e-9)
        return NoiseReport(
            wall_seconds=self._wall,
            cores=cores.core_budget(),
            others_cores=None if self._others is None else self._others / wall,
            server_wait_share=None if self._waited is None else min(1.0, self._waited / wall),
        )

    def _read(self) -> _Reading:
        return _Reading(
            wall=time.perf_counter(),
            all_cpu=cores.competing_cpu_seconds(),
            own_cpu=family_cpu_seconds(),
            waited=self._waited_seconds(),
        )

    def _waited_seconds(self) -> float | None:
        waits = [usage.run_queue_wait_seconds(thread_id) for thread_id in self._thread_ids]
        known = [wait for wait in waits if wait is not None]
        if known and len(known) == len(waits):
            return sum(known)  # the time in which a quota held the thread back is part of it
        return cores.throttled_seconds()


def measure_noise(seconds: float = 0.3) -> NoiseReport:
    """The machine's noise while this process only sleeps."""
    meter = NoiseMeter()
    meter.resume()
    time.sleep(seconds)
    meter.pause()
    return meter.report()


def family_cpu_seconds() -> float | None:
    """CPU seconds of this process and its living descendants, with their ended children."""
    return usage.tree_cpu_seconds(psutil.Process())


def _more(then: float | None, now: float | None) -> float | None:
    return None if then is None or now is None else now - then


def _sum(so_far: float | None, more: float | None) -> float | None:
    return None if so_far is None or more is None else so_far + more
