"""Who takes connections, where the kernel does not list what an event loop watches."""

from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from course_app.system import platforms, sockets

Connection = namedtuple("Connection", "fd status laddr")
PORT = 8000
LISTENS = [Connection(7, psutil.CONN_LISTEN, ("127.0.0.1", PORT))]


@dataclass
class Process:
    """What is asked of a psutil.Process."""

    pid: int
    parent: int
    listens: bool = True
    readable: bool = True

    def ppid(self) -> int:
        return self.parent

    def net_connections(self, _kind: str) -> list[Connection]:
        if not self.readable:
            raise psutil.AccessDenied(self.pid)
        return LISTENS if self.listens else []


TREES = pytest.mark.parametrize(
    ("tree", "workers"),
    [
        ([Process(1, 0)], 1),
        ([Process(1, 0), Process(2, 1, listens=False)], 1),
        ([Process(1, 0), Process(2, 1), Process(3, 1)], 2),
        ([Process(1, 0, listens=False), Process(2, 1), Process(3, 1)], 2),
        ([Process(1, 0), Process(2, 1, readable=False)], 1),
        ([Process(1, 0, listens=False)], 0),
    ],
)


@pytest.mark.usefixtures("no_linux")
@TREES
def test_a_parent_that_has_handed_its_socket_on_is_no_worker(
    tree: list[Process], workers: int
) -> None:
    assert sockets.accepting(tree, PORT) == workers
    assert sockets.accepting(tree, PORT + 1) == 0


@pytest.mark.skipif(not platforms.is_linux(), reason="/proc is Linux's")
@TREES
def test_so_it_is_in_a_sandbox_whose_kernel_does_not_list_what_is_watched(
    tree: list[Process], workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platforms, "PROC", tmp_path)
    assert sockets.accepting(tree, PORT) == workers
