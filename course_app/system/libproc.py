"""macOS: what ``proc_pid_rusage`` of libproc tells about a process of the same user.

psutil cannot say there what ended children have used, and asks for a right that nobody has to
tell what memory a process has for itself.
"""

import ctypes
import functools
from dataclasses import dataclass

from course_app.system import platforms

_RUSAGE_INFO_V1 = 1


class _Usage(ctypes.Structure):
    """``struct rusage_info_v1`` of <sys/resource.h>; times are in ticks of Mach's clock."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "ri_user_time",
                "ri_system_time",
                "ri_pkg_idle_wkups",
                "ri_interrupt_wkups",
                "ri_pageins",
                "ri_wired_size",
                "ri_resident_size",
                "ri_phys_footprint",
                "ri_proc_start_abstime",
                "ri_proc_exit_abstime",
                "ri_child_user_time",
                "ri_child_system_time",
                "ri_child_pkg_idle_wkups",
                "ri_child_interrupt_wkups",
                "ri_child_pageins",
                "ri_child_elapsed_abstime",
            )
        ),
    )


class _Timebase(ctypes.Structure):
    """``struct mach_timebase_info``: nanoseconds per tick; 1 on Intel, 125/3 on Apple silicon."""

    _fields_ = (("numer", ctypes.c_uint32), ("denom", ctypes.c_uint32))


@dataclass(frozen=True)
class Usage:
    """CPU seconds of a process and of its reaped children; bytes of memory that it answers for."""

    cpu_seconds: float
    children_cpu_seconds: float
    footprint_bytes: int


def usage_of(pid: int) -> Usage | None:
    """What a living process has used; None on other systems, and where it may not be read."""
    if not platforms.is_macos():
        return None
    told = _Usage()
    try:
        if _library().proc_pid_rusage(pid, _RUSAGE_INFO_V1, ctypes.byref(told)) != 0:
            return None
        second = 1e9 / _nanoseconds_per_tick()
    except (OSError, AttributeError):  # no such library, no such function
        return None
    return Usage(
        cpu_seconds=(told.ri_user_time + told.ri_system_time) / second,
        children_cpu_seconds=(told.ri_child_user_time + told.ri_child_system_time) / second,
        footprint_bytes=int(told.ri_phys_footprint),
    )


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL("/usr/lib/libSystem.dylib", use_errno=True)


@functools.cache
def _nanoseconds_per_tick() -> float:
    base = _Timebase()
    _library().mach_timebase_info(ctypes.byref(base))
    return base.numer / base.denom if base.denom else 1.0
