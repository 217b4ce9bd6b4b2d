"""The loop: accepts connections, moves bytes when they are due, answers its owner."""

import os
import socket
import time
from collections.abc import Callable

from course_app.network.proxy.agenda import Agenda
from course_app.network.proxy.link import Link
from course_app.network.proxy.poller import Poller
from course_app.network.proxy.route import Delay, Reach, Route, Tally
from course_app.system import open_files
from course_app.system.poller import READ

LOOPBACK = "127.0.0.1"
BACKLOG = 1024

#: How often the loop looks whether its owner still lives, should the pipe not tell.
OWNER_CHECK_SECONDS = 0.5

#: Bytes sent to a loopback socket can be read at once. The pause is for apps that clean up
#: after their answer, such as a pool that resets a connection when it comes back.
QUIET_SECONDS = 0.01

#: The longest that a question waits for an answer while traffic goes on, beyond the delay.
SETTLE_SECONDS = 0.25

#: After a connection could not be accepted for want of descriptors.
ACCEPT_PAUSE_SECONDS = 0.05


class Relay:
    """All routes, and the one loop that serves them. Ends when the owner does."""

    def __init__(self) -> None:
        self.delay = Delay()
        self.routes: dict[str, Route] = {}
        self._listeners: dict[str, socket.socket] = {}
        self._poller = Poller()
        self._agenda = Agenda()
        self._owner = os.getppid()
        self._waiting: list[tuple[float, Callable[[], None]]] = []
        open_files.allow(open_files.FOR_MANY_CONNECTIONS)

    def listen(self, name: str, address: str, port: int, delay: Delay | None = None) -> int:
        """Open the way to one server; returns the port on 127.0.0.1 that leads to it.

        Args:
            delay: a dial of its own; else the one that all share.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind((LOOPBACK, 0))
        listener.listen(BACKLOG)
        self.routes[name] = Route(name, address, port, delay or self.delay)
        self._listeners[name] = listener
        self._watch(name)
        return int(listener.getsockname()[1])

    def forget(self, name: str) -> None:
        """Accept no more connections for a server, and drop its counts; of others nothing."""
        if name not in self._listeners:
            return
        self._poller.watch(self._listeners[name], 0, ignore)
        self._listeners.pop(name).close()
        del self.routes[name]

    def obey(self, file: int, ready: Callable[[], None]) -> None:
        """Have ``ready`` called when the owner has written something."""
        self._poller.watch(file, READ, lambda _events: ready())

    def when_settled(self, action: Callable[[], None]) -> None:
        """Do something once all that was sent before has been moved and counted.

        While traffic goes on, that is after the longest time that it can be under way.
        """
        latest = time.perf_counter() + self.delay.round_trip_seconds + SETTLE_SECONDS
        self._waiting.append((latest, action))

    def reset(self) -> None:
        """Count from zero."""
        for route in self.routes.values():
            route.tally = Tally()

    def run(self) -> None:
        """Serve until the owner is gone, or whoever obeys it raises."""
        while os.getppid() == self._owner:
            due = self._agenda.next_due
            events = self._poller.wait(self._patience(due), exactly=due is not None)
            for ready, happened in events:
                ready(happened)
            now = time.perf_counter()
            self._agenda.act(now)
            if self._waiting:
                self._settle(now, quiet=not events and self._agenda.next_due is None)

    def _patience(self, due: float | None) -> float:
        longest = QUIET_SECONDS if self._waiting else OWNER_CHECK_SECONDS
        return longest if due is None else min(longest, max(0.0, due - time.perf_counter()))

    def _settle(self, now: float, *, quiet: bool) -> None:
        settled = [entry for entry in self._waiting if quiet or now >= entry[0]]
        for entry in settled:
            self._waiting.remove(entry)
            entry[1]()

    def _watch(self, name: str) -> None:
        if name in self._listeners:
            self._poller.watch(self._listeners[name], READ, lambda _events: self._accept(name))

    def _accept(self, name: str) -> None:
        listener, route = self._listeners[name], self.routes[name]
        try:
            while True:
                client, _address = listener.accept()
                if route.reach is Reach.CUT:
                    client.close()
                    continue
                link = Link(client, route, self._poller, self._agenda)
                if route.reach is Reach.SILENT:
                    link.freeze()
        except BlockingIOError:
            return
        except OSError as error:
            route.failed(os.strerror(error.errno or 0))
            self._poller.watch(listener, 0, ignore)
            again = time.perf_counter() + ACCEPT_PAUSE_SECONDS
            self._agenda.add(again, lambda _now: self._watch(name))


def ignore(_events: int) -> None:
    """For a file that nobody waits for any more."""
