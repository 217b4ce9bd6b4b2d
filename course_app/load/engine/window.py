"""The loop that sends and receives; what is sent when is up to the kinds of window in `models`."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from course_app.load.engine.answer import KNOWN_HEADS, AnswerReader, BadAnswer, Head
from course_app.load.engine.connection import Connection, Target
from course_app.load.engine.poller import READ, WRITE, new_poller
from course_app.load.engine.recorder import Recorder
from course_app.load.engine.stream import Prepared, numbered

RECEIVE_BYTES = 65_536
LOOK_SECONDS = 0.05
"""How often time-outs and the owner's life are looked at."""
IDLE_RETRY_NS = 500_000_000
"""A server may end a connection that was idle this long just as a request is on its way (RFC 9112,
9.3.1); such a request is sent again, once, and is no error."""

clock = time.perf_counter_ns


class OwnerGone(BaseException):
    """The process that owns this one has ended: nothing is left to do."""


class Window(ABC):
    """One bounded stretch of load on one or more targets, each with its recorder."""

    precise = False

    def __init__(self, targets: Sequence[Target], owner: int, warmup_seconds: float = 0.0) -> None:
        self.owner = owner
        self.parent = os.getppid()
        self.poller = new_poller()
        self.targets = targets
        self.connections: dict[int, Connection] = {}
        self.in_flight = 0
        self.warmup_ns = int(warmup_seconds * 1e9)
        self.opens_ns = self.look_ns = 0
        self.ended_ns = 0
        self.recorders = [Recorder() for _ in targets]

    @abstractmethod
    def begin(self) -> None:
        """Send the first requests."""

    @abstractmethod
    def free(self, connection: Connection) -> None:
        """A connection has its answer (or will get none): what next?"""

    def retire(self, connection: Connection) -> None:  # noqa: B027 - most windows need nothing
        """A connection could not be opened again: the server is gone."""

    def take(self, target: Target) -> Prepared:
        """The request to send next."""
        return target.stream.take()

    def new_reader(self, connection: Connection) -> AnswerReader | None:  # noqa: ARG002
        """What reads the answer; None tries the short way first."""
        return None

    def between(self) -> None:  # noqa: B027 - most windows need nothing
        """Called after each batch of answers."""

    def more(self) -> bool:
        """Whether there is something to wait for."""
        return self.in_flight > 0

    def pause_seconds(self) -> float:
        """How long the loop may sleep."""
        return LOOK_SECONDS

    def run(self) -> None:
        """Run the window to its end. Raises OwnerGone, NobodyListens."""
        try:
            self._join()
            self.opens_ns = self.look_ns = clock() + self.warmup_ns
            for recorder in self.recorders:
                recorder.opens_ns = self.opens_ns
            self.begin()
            wait = self.poller.wait_precisely if self.precise else self.poller.wait
            while self.more():
                for descriptor, flags in wait(self.pause_seconds()):
                    self._ready(descriptor, flags)
                if clock() >= self.look_ns:
                    self._look()
                self.between()
            self.ended_ns = clock()
            for recorder in self.recorders:
                recorder.close()
        finally:
            self._leave()

    def launch(self, connection: Connection, intended_ns: int | None = None) -> None:
        """Send the target's next request."""
        target = connection.target
        connection.number = target.stream.number
        payload, connection.expectation = self.take(target)
        if target.numbered:
            payload = numbered(payload, connection.number)
        connection.payload = payload
        connection.retried = False
        self.in_flight += 1
        connection.busy = True
        connection.started_ns = started = clock()
        connection.intended_ns = started if intended_ns is None else intended_ns
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        connection.reader = self.new_reader(connection)
        if connection.socket is None:
            self._reopen(connection)
            return
        payload = connection.payload
        try:
            sent = connection.socket.send(payload)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # what the server said before it hung up can still be read: see _ready
        connection.recorder.bytes_sent += sent
        if sent < len(payload):
            self._send_later(connection, memoryview(payload)[sent:])

    def _send_later(self, connection: Connection, unsent: memoryview) -> None:
        connection.unsent = unsent
        # an answer that comes before the request is out needs care: not the short way
        connection.reader = connection.reader or AnswerReader(connection.expectation)
        assert connection.socket is not None
        self.poller.change(connection.socket.fileno(), READ | WRITE)

    def _flush(self, connection: Connection) -> None:
        if connection.unsent is None or connection.socket is None:
            return
        try:
            sent = connection.socket.send(connection.unsent)
        except OSError:
            return
        connection.recorder.bytes_sent += sent
        connection.unsent = connection.unsent[sent:]
        if not connection.unsent:
            connection.unsent = None
            self.poller.change(connection.socket.fileno(), READ)

    def _ready(self, descriptor: int, flags: int) -> None:
        connection = self.connections.get(descriptor)
        if connection is None or connection.socket is None:
            if descriptor == self.owner:
                raise OwnerGone  # it sends nothing while it waits: this is the end of its pipe
            return
        try:
            data = connection.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            if flags & WRITE:
                self._flush(connection)
            return
        except OSError as error:
            self._broken(connection, error)
            return
        now = clock()
        recorder = connection.recorder
        recorder.bytes_received += len(data)
        cut = data.find(b"\r\n\r\n") + 4
        head = KNOWN_HEADS.get(data[:cut])
        if (
            head is not None
            and len(data) == head.plain_bytes
            and connection.reader is None
            and connection.busy
            and head.status in (expectation := connection.expectation).statuses
            and (expectation.body is None or data.find(expectation.body, cut) >= 0)
        ):
            recorder.answered(connection, now, head.status)
            self._finish(connection, now)
        else:
            self._read(connection, data, now)

    def _read(self, connection: Connection, data: bytes, now: int) -> None:
        if not connection.busy:
            self._disconnect(connection)
            return
        if not data:
            self._end_of_file(connection, now)
            return
        if connection.reader is None:
            connection.reader = AnswerReader(connection.expectation)
        try:
            complete = connection.reader.feed(data)
        except BadAnswer as error:
            self._fail(connection, "garbage", str(error))
            return
        if complete:
            self._complete(connection, connection.reader, now)

    def _complete(self, connection: Connection, reader: AnswerReader, now: int) -> None:
        head = reader.head
        assert head is not None
        if connection.unsent is not None or not head.keep_alive:
            self._disconnect(connection)
        self.judge(connection, reader, head, now)
        self._finish(connection, now)

    def judge(self, connection: Connection, reader: AnswerReader, head: Head, now: int) -> None:
        """Record a complete answer as right or wrong."""
        recorder = connection.recorder
        if head.status not in connection.expectation.statuses or not reader.body_found:
            kind = "body" if head.status in connection.expectation.statuses else "status"
            excerpt = bytes(reader.excerpt).decode(errors="replace")
            recorder.failed(connection, kind, f"status {head.status}: {excerpt}", head.status)
        else:
            recorder.answered(connection, now, head.status)

    def _end_of_file(self, connection: Connection, now: int) -> None:
        reader = connection.reader
        if reader is not None and reader.end_of_file():
            self._disconnect(connection)
            self._complete(connection, reader, now)
        else:
            self._broken(connection, ConnectionResetError("the server closed the connection"))

    def _broken(self, connection: Connection, error: OSError) -> None:
        if not connection.busy:
            self._disconnect(connection)
        elif isinstance(error, ConnectionRefusedError):
            self._refused(connection, error)
        elif self._may_retry(connection):
            connection.retried = True
            self._disconnect(connection)
            self._send(connection)
        else:
            self._fail(connection, "lost", f"no answer: {error.strerror or error}")

    def _may_retry(self, connection: Connection) -> bool:
        idle_ns = connection.started_ns - connection.used_ns
        begun = connection.reader is not None and connection.reader.begun
        return idle_ns > IDLE_RETRY_NS and not begun and not connection.retried

    def _fail(self, connection: Connection, kind: str, got: str) -> None:
        self._disconnect(connection)
        connection.recorder.failed(connection, kind, got, None)
        self._finish(connection, clock())

    def _refused(self, connection: Connection, error: OSError) -> None:
        self._disconnect(connection)
        got = f"no connection: {error.strerror or error}"
        connection.recorder.failed(connection, "refused", got, None)
        connection.busy = False
        self.in_flight -= 1
        self.retire(connection)

    def _finish(self, connection: Connection, now: int) -> None:
        connection.busy = False
        connection.used_ns = now
        self.in_flight -= 1
        self.free(connection)

    def _reopen(self, connection: Connection) -> None:
        connection.recorder.reconnects += 1
        connection.used_ns = clock()
        try:
            connection.begin_open()
        except OSError as error:
            self._refused(connection, error)
            return
        assert connection.socket is not None
        descriptor = connection.socket.fileno()
        self.connections[descriptor] = connection
        self.poller.add(descriptor, READ)
        self._send_later(connection, memoryview(connection.payload))

    def _disconnect(self, connection: Connection) -> None:
        if connection.socket is not None:
            descriptor = connection.socket.fileno()
            self.poller.remove(descriptor)
            del self.connections[descriptor]
            connection.close()
        connection.unsent = None

    def _join(self) -> None:
        self.poller.add(self.owner, READ)
        for target, recorder in zip(self.targets, self.recorders, strict=True):
            for connection in target.connections:
                connection.recorder = recorder
                if not connection.still_open():
                    connection.close()
                    connection.open()
                    recorder.reconnects += 1
                assert connection.socket is not None
                self.connections[connection.socket.fileno()] = connection
                self.poller.add(connection.socket.fileno(), READ)

    def _leave(self) -> None:
        self.poller.close()
        for connection in self.connections.values():
            if connection.busy:  # the window ended by an error
                connection.busy = False
                connection.close()

    def _look(self) -> None:
        now = clock()
        if self.look_ns == self.opens_ns:
            for recorder in self.recorders:
                recorder.open()
        self.look_ns = now + int(LOOK_SECONDS * 1e9)
        if os.getppid() != self.parent:
            raise OwnerGone
        for connection in list(self.connections.values()):
            waited_ns = now - connection.started_ns
            if connection.busy and waited_ns > connection.target.timeout_ns:
                got = f"no answer within {connection.target.timeout_ns / 1e9:g} s"
                self._fail(connection, "timeout", got)
