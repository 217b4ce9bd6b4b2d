"""What other processes and threads have used: CPU, memory, and time spent waiting for a core.

None means "not known": the process has ended, belongs to somebody else, or the system does not say.
"""

import contextlib
import os
import time
from collections.abc import Iterable

import psutil

from course_app.system import libproc, platforms

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a living process with all its threads, without its children.

    Exact to the nanosecond on Linux, to a microsecond on macOS, to 10 ms elsewhere.
    """
    if platforms.is_linux():
        # The clock of another process, as clock_getcpuclockid(3) numbers it; sandboxes may lack it.
        with contextlib.suppress(OSError):
            return time.clock_gettime((~pid << 3) | 2)
    if (found := libproc.usage_of(pid)) is not None:
        return found.cpu_seconds
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def total_cpu_seconds(pids: Iterable[int]) -> float | None:
    """CPU time of several processes; those that have ended add nothing.

    None if one of them lives and cannot be read, or if none lives.
    """
    readings = [used for pid in pids if (used := cpu_seconds(pid)) is not None or _lives(pid)]
    known = [used for used in readings if used is not None]
    return sum(known) if known and len(known) == len(readings) else None


def tree_cpu_seconds(root: psutil.Process) -> float | None:
    """CPU time of a process and its descendants, ended and reaped children included."""
    total = 0.0
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return None
    for process in processes:
        try:
            used = _cpu_seconds_with_children(process)
        except psutil.NoSuchProcess:
            if process is root:
                return None
            continue
        if used is None:
            return None
        total += used
    return total


def _cpu_seconds_with_children(process: psutil.Process) -> float | None:
    if not platforms.is_linux():
        found = libproc.usage_of(process.pid)
        if found is not None:
            return found.cpu_seconds + found.children_cpu_seconds
        if platforms.is_macos():
            return None  # psutil says 0 for the children there
    try:
        times = process.cpu_times()
    except psutil.AccessDenied:
        return None
    own = cpu_seconds(process.pid)
    if own is None:
        own = times.user + times.system
    # Of living processes the ticks of 10 ms, twice for each, would hide what a few requests cost.
    return float(own + times.children_user + times.children_system)


def reaped_cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of children that have ended and were waited for by these processes.

    0 where the system does not tell. Linux tells it in steps of 10 ms, and does not tell of the
    children of a process that ignores SIGCHLD.
    """
    total = 0.0
    for pid in pids:
        if (found := libproc.usage_of(pid)) is not None:
            total += found.children_cpu_seconds
            continue
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            total += times.children_user + times.children_system
    return total


def run_queue_wait_seconds(thread_id: int) -> float | None:
    """For how long a thread of this process was ready to run and had no core (Linux only)."""
    if not platforms.is_linux():
        return None
    try:
        text = (platforms.PROC / f"self/task/{thread_id}/schedstat").read_text()
        return int(text.split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return None


def own_memory_bytes(pid: int) -> int | None:
    """A process's part of the memory in use, so that the parts of a tree can be added up.

    PSS (proportional set size) on Linux, the footprint that Activity Monitor shows on macOS, else
    the pages that it has for itself. Where only its whole resident memory may be read, that: too
    much rather than too little.
    """
    if (found := libproc.usage_of(pid)) is not None:
        return found.footprint_bytes or None
    with contextlib.suppress(psutil.Error, OSError):
        memory = psutil.Process(pid).memory_full_info()
        return int(getattr(memory, "pss", 0) or memory.uss) or resident_bytes(pid)
    return resident_bytes(pid)


def total_memory_bytes(pids: Iterable[int]) -> int | None:
    """Memory of several processes; those that have ended add nothing.

    None if one of them lives and cannot be read, or if none lives.
    """
    readings = [used for pid in pids if (used := own_memory_bytes(pid)) is not None or _lives(pid)]
    known = [used for used in readings if used is not None]
    return sum(known) if known and len(known) == len(readings) else None


def resident_bytes(pid: int) -> int | None:
    """Memory of one process that is in RAM now, shared pages in full. Some 20 µs on Linux."""
    if platforms.is_linux():
        with contextlib.suppress(OSError, IndexError, ValueError):
            pages = (platforms.PROC / f"{pid}/statm").read_text().split()[1]
            return int(pages) * _PAGE_BYTES or None
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss) or None
    return None


def number_of_processes() -> int:
    """All processes that this user can see."""
    if platforms.is_linux():
        with contextlib.suppress(OSError):
            return sum(name.isdigit() for name in os.listdir(platforms.PROC))
    return len(psutil.pids())


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
