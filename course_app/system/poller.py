"""Waiting for sockets: epoll on Linux, whatever ``selectors`` offers elsewhere."""

from __future__ import annotations

import select
import selectors
import sys
from collections.abc import Sequence
from typing import Protocol

from course_app.system import platforms

READ = 1
WRITE = 4
"""The values of EPOLLIN and EPOLLOUT; any other bit says that the connection broke."""

SELECTABLE = 1024
"""FD_SETSIZE: ``select`` takes no descriptor from here on."""

Events = Sequence[tuple[int, int]]


class Poller(Protocol):
    """What both kinds can do."""

    def add(self, descriptor: int, flags: int) -> None: ...
    def change(self, descriptor: int, flags: int) -> None: ...
    def remove(self, descriptor: int) -> None: ...
    def wait(self, seconds: float) -> Events: ...
    def wait_precisely(self, seconds: float) -> Events: ...
    def close(self) -> None: ...


def new_poller() -> Poller:
    """The best poller of this system."""
    if sys.platform == "linux" and platforms.is_linux():
        return EpollPoller()
    return SelectorPoller()


class SelectorPoller:
    """For macOS and others; kqueue waits precisely."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def add(self, descriptor: int, flags: int) -> None:
        self._selector.register(descriptor, _events(flags))

    def change(self, descriptor: int, flags: int) -> None:
        self._selector.modify(descriptor, _events(flags))

    def remove(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)

    def wait(self, seconds: float) -> Events:
        ready = self._selector.select(seconds)
        return [
            (
                key.fd,
                (mask & selectors.EVENT_READ and READ) | (mask & selectors.EVENT_WRITE and WRITE),
            )
            for key, mask in ready
        ]

    wait_precisely = wait

    def close(self) -> None:
        self._selector.close()


def _events(flags: int) -> int:
    return (flags & READ and selectors.EVENT_READ) | (flags & WRITE and selectors.EVENT_WRITE)


if sys.platform == "linux":

    class EpollPoller:
        """One system call for any number of sockets."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self.add = self._epoll.register
            self.change = self._epoll.modify
            self.remove = self._epoll.unregister
            self.wait = self._epoll.poll
            self.close = self._epoll.close

        def wait_precisely(self, seconds: float) -> Events:
            """Like ``wait``, to some 50 us: epoll itself rounds up to whole milliseconds."""
            if self._epoll.fileno() >= SELECTABLE:
                return self._epoll.poll(seconds)
            select.select((self._epoll,), (), (), seconds)
            return self._epoll.poll(0)
