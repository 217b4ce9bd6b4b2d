"""The loop that sends and receives; what is sent when is up to the kinds of window in `models`."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence

from course_app.load.engine.answer import HEAD_END, KNOWN_HEADS
from course_app.load.engine.connection import Target
from course_app.load.engine.exchange import Exchanges, clock
from course_app.load.engine.recorder import Recorder
from course_app.system.poller import READ, WRITE

RECEIVE_BYTES = 65_536
LOOK_SECONDS = 0.05
"""How often time-outs and the owner's life are looked at."""


class OwnerGone(BaseException):
    """The process that owns this one has ended: nothing is left to do."""


class Window(Exchanges):
    """One bounded stretch of load on one or more targets, each with its recorder.

    It is ``stalled`` once a request timed out. Then only windows that send by the clock go on: in
    others a server that never answers would cost a time-out for each request.
    """

    paced = False
    """Whether it sends by the clock (and so must wake in time), not only after answers."""

    def __init__(self, targets: Sequence[Target], owner: int, warmup_seconds: float = 0.0) -> None:
        super().__init__()
        self.owner = owner
        self.parent = os.getppid()
        self.targets = targets
        self.warmup_ns = int(warmup_seconds * 1e9)
        self.opens_ns = self.look_ns = 0
        self.closes_ns = self.ended_ns = 0
        self.opened = False
        self.stalled = False
        self.recorders = [Recorder() for _ in targets]

    @abstractmethod
    def begin(self) -> None:
        """Send the first requests."""

    def pace(self) -> None:
        """Send what is due."""

    def pause_seconds(self) -> float:
        """How long a paced window may sleep."""
        return LOOK_SECONDS

    def more(self) -> bool:
        """Whether there is something to wait for though nothing is in flight."""
        return False

    def open_at(self, opens_ns: int) -> None:
        """Requests that start from then on are the window's, not of its warm-up."""
        self.opens_ns = self.look_ns = opens_ns
        for recorder in self.recorders:
            recorder.opens_ns = opens_ns

    def opens_later(self) -> bool:
        """Whether the warm-up, whose time is over, goes on."""
        return False

    def end_ns(self) -> int:
        """Where the window ended: early if there was nothing more to do."""
        return min(self.closes_ns, self.ended_ns)

    def run(self) -> None:
        """Run the window to its end. Raises OwnerGone, NobodyListens."""
        try:
            self._join()
            self.open_at(clock() + self.warmup_ns)
            self._look(clock())
            self.begin()
            self._loop()
            self.ended_ns = clock()
            for recorder in self.recorders:
                recorder.close()
        finally:
            self._leave()

    def _loop(self) -> None:
        # One long function on purpose: it runs for every answer, where a call costs as much as a
        # few of its lines, and several times more when the server has just emptied the caches.
        connections, heads, paced = self.connections, KNOWN_HEADS, self.paced
        wait = self.poller.wait_precisely if paced else self.poller.wait
        while self.in_flight or self.more():
            for descriptor, flags in wait(self.pause_seconds() if paced else LOOK_SECONDS):
                connection = connections.get(descriptor)
                if connection is None or connection.socket is None:
                    self._unknown(descriptor)
                    continue
                try:
                    data = connection.socket.recv(RECEIVE_BYTES)
                except BlockingIOError:
                    if flags & WRITE:
                        self.flush(connection)
                    continue
                except OSError as error:
                    self.broken(connection, error)
                    continue
                now = clock()
                recorder = connection.recorder
                recorder.bytes_received += len(data)
                cut = data.find(HEAD_END) + 4
                head = heads.get(data[:cut])
                if (
                    head is not None
                    and len(data) == head.plain_bytes
                    and connection.reader is None
                    and connection.busy
                    and head.status in (expectation := connection.expectation).statuses
                    and (expectation.body is None or data.find(expectation.body, cut) >= 0)
                ):
                    recorder.answered(connection, now, head.status)
                    self.free(connection, now)
                else:
                    self.read(connection, data, now)
            if paced:
                self.pace()
            if (now := clock()) >= self.look_ns:
                self._look(now)

    def _unknown(self, descriptor: int) -> None:
        if descriptor == self.owner:
            raise OwnerGone  # it sends nothing while it waits: this is the end of its pipe

    def _look(self, now: int) -> None:
        if now >= self.opens_ns and not self.opened and not self.opens_later():
            self.opened = True
            for recorder in self.recorders:
                recorder.open()
        next_ns = now + int(LOOK_SECONDS * 1e9)
        self.look_ns = next_ns if self.opened else min(next_ns, self.opens_ns)
        if os.getppid() != self.parent:
            raise OwnerGone
        for connection in list(self.connections.values()):
            timeout_ns = connection.target.timeout_ns
            if connection.busy and now - connection.started_ns > timeout_ns:
                self.stalled = True
                begun = connection.reader is not None and connection.reader.begun
                what = "no end of the answer" if begun else "no answer"
                self.fail(connection, "timeout", f"{what} within {timeout_ns / 1e9:g} s")

    def _join(self) -> None:
        self.poller.add(self.owner, READ)
        for target, recorder in zip(self.targets, self.recorders, strict=True):
            for connection in target.connections:
                connection.recorder = recorder
                if not connection.still_open():
                    connection.close()
                    connection.open()
                    recorder.reconnects += 1
                self.watch(connection)

    def _leave(self) -> None:
        self.poller.close()
        for connection in self.connections.values():
            if connection.busy:  # the window ended by an error
                connection.busy = False
                connection.close()
