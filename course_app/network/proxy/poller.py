"""Waits for sockets, or for a moment, whichever comes first, to some microseconds."""

import select
import selectors
from collections.abc import Callable
from socket import socket

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

#: Called with the events that happened.
Ready = Callable[[int], None]


class Poller:
    """A selector whose time-outs are not rounded to milliseconds.

    ``epoll_wait`` and the selectors above it count in milliseconds. An epoll (or kqueue)
    descriptor can itself be waited for, and ``select`` does that in microseconds.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, file: socket | int, events: int, ready: Ready) -> None:
        """Wait for other events than before; 0 for none at all."""
        known = file in self._selector.get_map()
        if events == 0:
            if known:
                self._selector.unregister(file)
        elif known:
            self._selector.modify(file, events, ready)
        else:
            self._selector.register(file, events, ready)

    def wait(self, seconds: float, *, exactly: bool) -> list[tuple[Ready, int]]:
        """What is ready after at most ``seconds``; exact time-outs cost one more system call."""
        if exactly and seconds > 0:
            select.select([self._selector.fileno()], [], [], seconds)
            seconds = 0
        return [(key.data, events) for key, events in self._selector.select(seconds)]
