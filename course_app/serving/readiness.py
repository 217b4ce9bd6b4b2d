"""When a tree of server processes is ready: its workers accept connections, and one answers."""

import http.client
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from course_app.serving.listener import LOOPBACK


def answers(port: int, timeout_seconds: float) -> bool:
    """Whether an HTTP request is answered, whatever the status."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_seconds)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def accepting(processes: Sequence[psutil.Process], port: int) -> int:
    """How many of these processes wait for connections on the port.

    On Linux a process counts when it has the listening socket among those that its event
    loop watches (``/proc/PID/fdinfo`` of an epoll descriptor lists them). A parent that
    only hands the socket on, and a worker whose start-up has not ended, do not watch it.
    Elsewhere every process that holds the socket counts.
    """
    return sum(_accepts(process, port) for process in processes)


def _accepts(process: psutil.Process, port: int) -> bool:
    with suppress(psutil.Error, OSError):
        sockets = {
            connection.fd
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
        }
        if not sockets or not psutil.LINUX:
            return bool(sockets)
        return bool(_inodes(process.pid, sockets) & _watched(process.pid))
    return False


def _inodes(pid: int, descriptors: set[int]) -> set[int]:
    """Inode numbers behind descriptors; a copy of a descriptor has the same."""
    return {os.stat(f"/proc/{pid}/fd/{descriptor}").st_ino for descriptor in descriptors}


def _watched(pid: int) -> set[int]:
    """Inode numbers that the process's epoll descriptors watch."""
    watched = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        for line in info.read_text().splitlines():
            if line.startswith("tfd:"):
                watched.add(int(line.split("ino:")[1].split()[0], 16))
    return watched
