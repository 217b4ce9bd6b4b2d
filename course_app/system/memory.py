"""Memory of the machine, and what a container leaves of it."""

from dataclasses import dataclass

import psutil

from course_app.system import platforms


@dataclass(frozen=True)
class Memory:
    """Bytes that may be used in all, and bytes that are free now."""

    total: int
    free: int


def memory() -> Memory:
    """The machine's, within the limit of a container (Linux, control groups 1 and 2)."""
    found = psutil.virtual_memory()
    total, free = int(found.total), int(found.available)
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, now = _number(most), _number(used)
        if limit is not None and now is not None and limit < total:
            return Memory(limit, min(free, max(0, limit - now)))
    return Memory(total, free)


def _number(file: str) -> int | None:
    if not platforms.is_linux():
        return None
    try:
        return int((platforms.CGROUPS / file).read_text())
    except (OSError, ValueError):  # "max", too
        return None
