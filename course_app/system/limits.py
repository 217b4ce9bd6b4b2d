"""Bounds that the operating system itself holds a process to (``setrlimit``)."""

import os
import resource
from typing import Literal

from course_app.system import platforms

Limit = Literal[
    "core file bytes",
    "CPU seconds",
    "open files",
    "file bytes",
    "address space bytes",
    "threads of this user",
]

_NUMBERS: dict[Limit, str] = {
    "core file bytes": "RLIMIT_CORE",
    "CPU seconds": "RLIMIT_CPU",
    "open files": "RLIMIT_NOFILE",
    "file bytes": "RLIMIT_FSIZE",
    "address space bytes": "RLIMIT_AS",
    "threads of this user": "RLIMIT_NPROC",
}
# Elsewhere the first is refused (macOS reserves hundreds of gigabytes for each process), and the
# second counts all programs of the user's desktop, of which we know no number.
_LINUX_ONLY = ("address space bytes", "threads of this user")


def lower(limit: Limit, most: int) -> bool:
    """Hold this process and its children to a bound for good; a lower one that holds stays.

    Returns:
        whether it holds now; False where the system does not know it or refuses.
    """
    if limit in _LINUX_ONLY and not platforms.is_linux():
        return False
    try:
        number = getattr(resource, _NUMBERS[limit])
        _, hard = resource.getrlimit(number)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (bound, bound))
    except (AttributeError, ValueError, OSError):
        return False
    return True


def threads_of_this_user() -> int | None:
    """All threads of this user now, a desktop's included; None where the system does not say."""
    if not platforms.is_linux():
        return None
    total = 0
    try:
        for entry in os.scandir(platforms.PROC):
            total += _threads(entry) if entry.name.isdigit() else 0
    except OSError:
        return None
    return total or None


def _threads(process: "os.DirEntry[str]") -> int:
    try:
        mine = process.stat().st_uid == os.getuid()
        return len(os.listdir(f"{process.path}/task")) if mine else 0
    except OSError:  # it has ended
        return 0
