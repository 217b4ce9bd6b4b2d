"""Whom to call when a socket is ready; how to wait to some microseconds, the system room knows."""

from collections.abc import Callable
from socket import socket

from course_app.system.poller import READ, WRITE, new_poller

#: Called with the events that happened.
Ready = Callable[[int], None]


class Poller:
    """Watches sockets, each with the function that is to be called."""

    def __init__(self) -> None:
        self._poller = new_poller()
        self._watched: dict[int, tuple[int, Ready]] = {}

    def watch(self, file: socket | int, events: int, ready: Ready) -> None:
        """Wait for other events than before; 0 for none at all."""
        descriptor = file if isinstance(file, int) else file.fileno()
        known = self._watched.pop(descriptor, None)
        if events:
            (self._poller.change if known else self._poller.add)(descriptor, events)
            self._watched[descriptor] = events, ready
        elif known:
            self._poller.remove(descriptor)

    def wait(self, seconds: float, *, exactly: bool) -> list[tuple[Ready, int]]:
        """What is ready after at most ``seconds``; exact time-outs cost one more system call."""
        wait = self._poller.wait_precisely if exactly and seconds > 0 else self._poller.wait
        return [self._happened(*each) for each in wait(seconds)]

    def _happened(self, descriptor: int, flags: int) -> tuple[Ready, int]:
        events, ready = self._watched[descriptor]
        # A connection that broke is ready for all that was waited for: the call will say why.
        return ready, events if flags & ~(READ | WRITE) else events & flags
