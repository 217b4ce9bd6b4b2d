"""How many cores this process may use: the one answer for the whole house.

The cores that the scheduler may put it on, or less if a quota of its control groups leaves less (a
container's ``--cpus``); ``COURSE_CORES`` overrides both. Who competes for
them, and for how long a quota held its group back, is told here too.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from course_app.errors import CourseError
from course_app.system import platforms
from course_app.words import amount

SETTING = "COURSE_CORES"
_MOST_CORES = 4096


class NotANumberOfCores(CourseError):
    """COURSE_CORES says something else."""


@dataclass(frozen=True)
class Quota:
    """CPU time that a control group may use: so many ``cores``, each for all of the time."""

    cores: float
    #: The group's folder, and the one where its use is counted (cgroup 1 has two).
    group: Path
    counted: Path


def core_budget() -> float:
    """Cores that may be busy all the time; under a quota not always a whole number (0.5).

    Raises:
        NotANumberOfCores: COURSE_CORES is set to something else.
    """
    wished = _wished()
    if wished is not None:
        return wished
    quota = tightest_quota()
    able = float(len(_allowed()))
    return min(able, quota.cores) if quota is not None else able


def usable_cores() -> int:
    """Processes that can compute at the same time: 1 or more; half a core counts as one."""
    return max(1, math.floor(core_budget() + 0.5))


def why() -> str:
    """What bounds the budget, if it is not simply the machine's cores."""
    if _wished() is not None:
        return f", because {SETTING} says so"
    quota = _binding_quota()
    return f", by a quota of a container or group ({quota.group})" if quota else ""


def in_words(budget: float) -> str:
    """``1 core``, ``2 cores``, ``0.5 cores``."""
    return amount(budget, "core")


def tightest_quota() -> Quota | None:
    """The quota that leaves least, of this process's own control group and all above it."""
    if not platforms.is_linux():
        return None
    return min(_quotas(), key=lambda quota: quota.cores, default=None)


def competing_cpu_seconds() -> float | None:
    """CPU seconds used so far by all that competes for our cores, ourselves included.

    Under a quota that is the group alone: what else runs on the machine takes nothing of it. With
    fewer cores than the machine has, it is what ran on them. None where that is not known.
    """
    quota = _binding_quota()
    if quota is not None:
        return _group_cpu_seconds(quota)
    allowed = _allowed()
    each = psutil.cpu_times(percpu=True)
    if max(allowed) < len(each) and len(allowed) < len(each):
        return sum(_busy(each[core]) for core in allowed)
    return _busy(psutil.cpu_times())


def throttled_seconds() -> float | None:
    """For how long a quota has held its group back so far, at least; None without a quota.

    Linux 6.18 counts but a part of it. A thread's wait in the run queue holds all of it.
    """
    quota = _binding_quota()
    if quota is None:
        return None
    counters = _counters(quota.group)
    if "throttled_usec" in counters:
        return counters["throttled_usec"] / 1e6
    return counters["throttled_time"] / 1e9 if "throttled_time" in counters else None


def _wished() -> float | None:
    text = os.environ.get(SETTING, "").strip()
    if not text:
        return None
    try:
        wished = float(text)
    except ValueError:
        wished = math.nan
    if not 0 < wished <= _MOST_CORES:
        raise NotANumberOfCores(
            f"{SETTING} is {text!r}. Set it to the number of cores that the course may use, such "
            "as 4 or 0.5, or unset it: then the course finds out by itself."
        )
    return wished


def _allowed() -> frozenset[int]:
    """Numbers of the cores that this process may run on."""
    if platforms.is_linux() and hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _binding_quota() -> Quota | None:
    quota = tightest_quota()
    return quota if quota is not None and quota.cores < len(_allowed()) else None


def _quotas() -> Iterator[Quota]:
    for controllers, path in _own_groups():
        for root, is_first in _roots(controllers):
            for group in _group_and_above(root, path):
                cores = _cores_of_v1(group) if is_first else _cores_of_v2(group)
                if cores is not None:
                    yield Quota(cores, group, _counted(group, root) if is_first else group)


def _own_groups() -> Iterator[tuple[str, str]]:
    """(controllers, path) of each hierarchy that this process is in, from cgroups(7)."""
    for line in _lines(platforms.PROC / "self" / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            yield controllers, path


def _roots(controllers: str) -> Iterator[tuple[Path, bool]]:
    """Where a hierarchy is mounted, and whether it is one of cgroup 1."""
    if not controllers:
        yield platforms.CGROUPS, False
    for folder in dict.fromkeys((controllers, "cpu") if controllers else ()):
        if (platforms.CGROUPS / folder).is_dir():
            yield platforms.CGROUPS / folder, True
            return


def _group_and_above(root: Path, path: str) -> Iterator[Path]:
    """A container sees its own group as the root, whatever the path says: missing ones are none."""
    group = root / path.lstrip("/")
    while group != root and root in group.parents:
        yield group
        group = group.parent
    yield root


def _cores_of_v2(group: Path) -> float | None:
    try:
        quota, period = _text(group / "cpu.max").split()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max", too
        return None


def _cores_of_v1(group: Path) -> float | None:
    try:
        quota = int(_text(group / "cpu.cfs_quota_us"))
        return quota / int(_text(group / "cpu.cfs_period_us")) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _counted(group: Path, root: Path) -> Path:
    """The folder of cgroup 1's second controller, which counts what the first one bounds."""
    for folder in (root.name, "cpuacct"):
        found = root.parent / folder / group.relative_to(root)
        if (found / "cpuacct.usage").exists():
            return found
    return group


def _group_cpu_seconds(quota: Quota) -> float | None:
    counters = _counters(quota.group)
    if "usage_usec" in counters:
        return counters["usage_usec"] / 1e6
    try:
        return int(_text(quota.counted / "cpuacct.usage")) / 1e9
    except (OSError, ValueError):
        return None


def _counters(group: Path) -> dict[str, int]:
    pairs = (line.split() for line in _lines(group / "cpu.stat"))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _busy(times: "psutil._ntuples.scputimes") -> float:
    idle: float = times.idle + getattr(times, "iowait", 0.0)
    # A guest's time is part of user time already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times)) - idle - guests


def _text(file: Path) -> str:
    return file.read_text(encoding="ascii", errors="replace").strip()


def _lines(file: Path) -> list[str]:
    try:
        return _text(file).splitlines()
    except OSError:
        return []
