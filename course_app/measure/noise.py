"""How noisy the machine was while something was measured.

Two causes are told apart: processes that are not ours used cores, and the server's own
thread was ready to run but had to wait for one.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

#: Shares of a core that others may use before a result calls the machine busy. Measured:
#: below a fifth, intervals stay within a few per cent of the quiet machine's.
BUSY_CORES = 0.2
VERY_BUSY_CORES = 0.8


@dataclass(frozen=True)
class NoiseReport:
    """What else went on: shown below each result."""

    wall_seconds: float
    cores: int
    others_cores: float
    server_wait_share: float | None

    @property
    def badge(self) -> str:
        """One of ``calm``, ``busy``, ``very busy``: how much of the machine others took.

        The server's waiting is no part of it: on two cores it also waits for our own
        generator and database.
        """
        if self.others_cores > VERY_BUSY_CORES:
            return "very busy"
        return "busy" if self.others_cores > BUSY_CORES else "calm"

    def __str__(self) -> str:
        text = f"Machine {self.badge}: others used {self.others_cores:.1f} of {self.cores} cores"
        if self.server_wait_share is None:
            return text + "."
        return text + f", the server waited for a core {self.server_wait_share:.0%} of the time."

    def to_dict(self) -> dict[str, Any]:
        """All figures and the badge."""
        return {**asdict(self), "badge": self.badge}


class NoiseMeter:
    """Adds up noise over the stretches between ``resume`` and ``pause``.

    Args:
        thread_ids: native ids of the server's threads in this process, whose waiting for a
            core is read from the kernel's scheduler statistics (Linux only).
    """

    def __init__(self, thread_ids: Sequence[int] = ()) -> None:
        self._thread_ids = tuple(thread_ids)
        self._wall = 0.0
        self._others = 0.0
        self._wait = 0.0
        self._wait_known = all(_run_queue_wait_seconds(tid) is not None for tid in thread_ids)

    def resume(self) -> None:
        """Begin a stretch. Reading takes some milliseconds: call it outside of windows."""
        self._at_start = self._read()

    def pause(self) -> None:
        """End the stretch that ``resume`` began."""
        wall, busy, own, wait = (
            now - then for now, then in zip(self._read(), self._at_start, strict=True)
        )
        self._wall += wall
        self._others += max(0.0, busy - own)
        self._wait += wait

    def report(self) -> NoiseReport:
        """The noise of all stretches so far."""
        wall = max(self._wall, 1e-9)
        known = self._wait_known and bool(self._thread_ids)
        return NoiseReport(
            wall_seconds=self._wall,
            cores=usable_cores(),
            others_cores=self._others / wall,
            server_wait_share=min(1.0, self._wait / wall) if known else None,
        )

    def _read(self) -> tuple[float, float, float, float]:
        waits = (_run_queue_wait_seconds(tid) or 0.0 for tid in self._thread_ids)
        return time.perf_counter(), busy_cpu_seconds(), family_cpu_seconds(), sum(waits)


def measure_noise(seconds: float = 0.3) -> NoiseReport:
    """The machine's noise while this process only sleeps."""
    meter = NoiseMeter()
    meter.resume()
    time.sleep(seconds)
    meter.pause()
    return meter.report()


def usable_cores() -> int:
    """Cores that this process may run on (its affinity, not the machine's total)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_cpu_seconds() -> float:
    """CPU seconds that all processes of the machine have used since it started."""
    times = psutil.cpu_times()
    idle: float = times.idle + getattr(times, "iowait", 0.0)
    # A guest's time is part of user time already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times)) - idle - guests


def family_cpu_seconds() -> float:
    """CPU seconds of this process and its living descendants, with their ended children."""
    me = psutil.Process()
    return tree_cpu_seconds(me)


def tree_cpu_seconds(root: psutil.Process) -> float:
    """CPU seconds of a process tree, ended and reaped children included."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _run_queue_wait_seconds(thread_id: int) -> float | None:
    try:
        with open(f"/proc/self/task/{thread_id}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return None
