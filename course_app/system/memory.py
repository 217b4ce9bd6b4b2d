"""Memory of the machine, and what a container leaves of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from course_app.system import platforms

# Limit, use and counters of a control group: cgroup 2 and cgroup 1.
_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    ),
)


@dataclass(frozen=True)
class Memory:
    """Bytes that may be used in all, and bytes that are free now."""

    total: int
    free: int


def memory() -> Memory:
    """The machine's, within the limit of a container (Linux, control groups 1 and 2)."""
    found = psutil.virtual_memory()
    total, free = int(found.total), int(found.available)
    for limit, used in _containers() if platforms.is_linux() else ():
        if limit < total:
            total, free = limit, min(free, max(0, limit - used))
    return Memory(total, free)


def _containers() -> Iterator[tuple[int, int]]:
    """(limit, used) of the control group that a container sees as its root."""
    for most, used, cached in _FILES:
        try:
            limit = int((platforms.CGROUPS / most).read_text())
            now = int((platforms.CGROUPS / used).read_text())
            counters = (platforms.CGROUPS / cached).read_text().split()
        except (OSError, ValueError):  # "max", too
            continue
        named = dict(zip(counters[::2], map(int, counters[1::2]), strict=False))
        # Files that nobody has read lately make room at once.
        yield limit, now - named.get("total_inactive_file", named.get("inactive_file", 0))
