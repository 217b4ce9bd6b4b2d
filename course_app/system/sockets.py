"""Who listens on a port, and who takes connections from it."""

import contextlib
import functools
import os
import select
from collections.abc import Sequence
from pathlib import Path

import psutil

from course_app.system import platforms


def can_share_before_listening() -> bool:
    """Whether a socket that is bound and does not listen keeps a port for a server's own one.

    Linux lets both have it if both set ``SO_REUSEADDR``; others refuse the second.
    """
    return platforms.is_linux()


def accepting(processes: Sequence[psutil.Process], port: int) -> int:
    """How many of these processes wait for connections on the port.

    On Linux a process counts when it has the listening socket among those that its event
    loop watches (``/proc/PID/fdinfo`` of an epoll descriptor lists them). A parent that
    only hands the socket on, and a worker whose start-up has not ended, do not watch it.
    Elsewhere, and where the kernel does not list them, a process counts that holds the socket,
    unless it has handed it on to a child.
    """
    holders = {process.pid: held for process in processes if (held := _listeners(process, port))}
    if platforms.is_linux() and _lists_what_is_watched(platforms.PROC):
        with contextlib.suppress(OSError):
            return sum(_watches(pid, held) for pid, held in holders.items())
    parents = {parent for process in processes if (parent := _parent(process, holders))}
    return len(holders.keys() - parents)


def _listeners(process: psutil.Process, port: int) -> set[int]:
    """Descriptors of the sockets that listen there."""
    with contextlib.suppress(psutil.Error, OSError):
        return {
            connection.fd
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        }
    return set()


def _parent(process: psutil.Process, holders: dict[int, set[int]]) -> int | None:
    """Whose socket it was given, if it holds one."""
    with contextlib.suppress(psutil.Error):
        return process.ppid() if process.pid in holders else None
    return None


def _watches(pid: int, sockets: set[int]) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return bool(_inodes(pid, sockets) & _watched(pid))
    return False


@functools.cache
def _lists_what_is_watched(proc: Path) -> bool:
    """Whether the kernel lists the files of an epoll descriptor; those of sandboxes may not."""
    reader, writer = os.pipe()
    try:
        with select.epoll() as poll:
            poll.register(reader)
            listed = (proc / f"self/fdinfo/{poll.fileno()}").read_text()
            return "tfd:" in listed and "ino:" in listed
    except OSError:
        return False
    finally:
        os.close(reader)
        os.close(writer)


def _inodes(pid: int, descriptors: set[int]) -> set[int]:
    """Inode numbers behind descriptors; a copy of a descriptor has the same."""
    return {os.stat(platforms.PROC / f"{pid}/fd/{number}").st_ino for number in descriptors}


def _watched(pid: int) -> set[int]:
    """Inode numbers that the process's epoll descriptors watch."""
    watched = set()
    for info in (platforms.PROC / f"{pid}/fdinfo").iterdir():
        lines: list[str] = []
        with contextlib.suppress(FileNotFoundError):  # closed since: another one may watch
            lines = info.read_text().splitlines()
        for line in lines:
            if line.startswith("tfd:"):
                watched.add(int(line.split("ino:")[1].split()[0], 16))
    return watched
