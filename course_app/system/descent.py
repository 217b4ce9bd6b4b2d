"""Which processes descend from this one, and what becomes of them when it ends.

For the keeper, which each server start waits for: a few standard modules, and nothing else.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator

_LINUX = sys.platform == "linux"
# Loaded once: between fork and exec there is no loading.
_LIBC = ctypes.CDLL(None) if _LINUX else None
# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends (Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Be sent a signal when the thread ends that made this process (Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def descendants(group: int) -> Iterator[int]:
    """Ids of the living processes that descend from this one (a negative id names a group).

    Linux hands every orphan to this process (see ``adopt_orphans``), so descent tells all of them.
    Elsewhere the process group that a child leads has to do.
    """
    if not _LINUX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, 0)
            yield -group
        return
    children: dict[int, list[int]] = {}
    for pid, parent, state in _process_table():
        if state != "Z":
            children.setdefault(parent, []).append(pid)
    found = [os.getpid()]
    for pid in found:
        found.extend(children.get(pid, ()))
    yield from found[1:]


def _process_table() -> Iterator[tuple[int, int, str]]:
    """(process id, parent's id, state) of every process, from proc(5)."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                yield int(name), int(parent), state.decode()
