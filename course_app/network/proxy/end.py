"""One of the two sockets of a connection, and the events that it waits for."""

from collections.abc import Callable
from socket import IPPROTO_TCP, TCP_NODELAY, socket

from course_app.network.proxy.poller import Poller


class End:
    """A socket that never blocks, and that sends small messages at once.

    Args:
        ready: called with the events that happened.
    """

    def __init__(self, poller: Poller, sock: socket, ready: Callable[[int], None]) -> None:
        sock.setblocking(False)
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self.sock = sock
        self._poller = poller
        self._ready = ready
        self._events = 0

    def want(self, event: int, wanted: bool) -> None:
        """Wait for an event (READ or WRITE), or not any more."""
        self._watch(self._events | event if wanted else self._events & ~event)

    def ignore(self) -> None:
        """Wait for nothing any more."""
        self._watch(0)

    def close(self) -> None:
        """Forget and close the socket."""
        self._watch(0)
        self.sock.close()

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._poller.watch(self.sock, events, self._ready)
            self._events = events
