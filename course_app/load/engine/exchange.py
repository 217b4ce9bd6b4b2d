"""One request and its answer over one connection, in all the ways that this can go."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from course_app.load.engine.answer import AnswerReader, BadAnswer, Head, told
from course_app.load.engine.connection import Connection
from course_app.load.engine.stream import numbered
from course_app.system.poller import READ, WRITE, new_poller

IDLE_RETRY_NS = 500_000_000
"""A server may end a connection that was idle this long just as a request is on its way (RFC 9112,
9.3.1); such a request is sent again, once, and is no error. Of a target that resends so is any GET
or HEAD on a connection that was used before (``Sample`` has a rule of its own)."""

clock = time.perf_counter_ns


class Exchanges(ABC):
    """Sends requests, reads answers that need care, and mends connections.

    The plain answers, nearly all, are read by the loop in `window`.
    """

    def __init__(self) -> None:
        self.poller = new_poller()
        self.connections: dict[int, Connection] = {}
        self.in_flight = 0

    @abstractmethod
    def free(self, connection: Connection, now: int) -> None:
        """A connection has its answer, or will get none: launch its next request or let it rest."""

    def retire(self, connection: Connection) -> None:  # noqa: B027 - most windows need nothing
        """A connection could not be opened again: the server is gone."""

    def judge(self, connection: Connection, reader: AnswerReader, head: Head, now: int) -> None:
        """Record a complete answer as right or wrong."""
        expectation, recorder = connection.expectation, connection.recorder
        if head.status in expectation.statuses and reader.body_found:
            recorder.answered(connection, now, head.status)
            return
        kind = "body" if head.status in expectation.statuses else "status"
        recorder.failed(connection, kind, told(head, reader.excerpt), head.status)

    def launch(self, connection: Connection, intended_ns: int = 0) -> None:
        """Send the target's next request, on a new connection where the old one is gone."""
        target = connection.target
        stream = target.stream
        payload, connection.expectation = stream.take()
        connection.number = stream.number
        stream.number += 1
        repeatable = target.resends and connection.expectation.repeatable
        connection.may_retry = repeatable and bool(connection.payload)
        if target.numbered:
            payload = numbered(payload, connection.number)
        connection.payload = payload
        connection.reader = None
        connection.intended_ns = intended_ns
        connection.started_ns = started = clock()
        if not connection.busy:
            connection.busy = True
            connection.may_retry |= started - connection.rested_ns > IDLE_RETRY_NS
            self.in_flight += 1
        if connection.socket is None:
            self._reopen(connection)
            return
        try:
            sent = connection.socket.send(payload)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # what the server said before it hung up is still to be read
        connection.recorder.bytes_sent += sent
        if sent < len(payload):
            self._send_later(connection, memoryview(payload)[sent:])

    def rest(self, connection: Connection, now: int) -> None:
        """Send nothing on a connection for now."""
        if connection.busy:
            connection.busy = False
            connection.rested_ns = now
            self.in_flight -= 1

    def flush(self, connection: Connection) -> None:
        """Send what did not fit before."""
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

    def read(self, connection: Connection, data: bytes, now: int) -> None:
        """Take a segment that is not one plain, right answer."""
        if not connection.busy:
            self.disconnect(connection)
        elif not data:
            self._end_of_file(connection, now)
        else:
            self._feed(connection, data, now)

    def broken(self, connection: Connection, error: OSError) -> None:
        """A connection ended before its answer was complete."""
        if not connection.busy:
            self.disconnect(connection)
        elif isinstance(error, ConnectionRefusedError):
            self._refused(connection, error)
        elif connection.may_retry and (connection.reader is None or not connection.reader.begun):
            connection.may_retry = False
            self.disconnect(connection)
            self._reopen(connection)
        else:
            self.fail(connection, "lost", f"no answer: {error.strerror or error}")

    def fail(self, connection: Connection, kind: str, got: str) -> None:
        """A request got no answer, and its connection cannot be used on."""
        self.disconnect(connection)
        connection.recorder.failed(connection, kind, got, None)
        self.free(connection, clock())

    def watch(self, connection: Connection) -> None:
        """Begin to listen to a connection."""
        assert connection.socket is not None
        descriptor = connection.socket.fileno()
        self.connections[descriptor] = connection
        self.poller.add(descriptor, READ)

    def disconnect(self, connection: Connection) -> None:
        """Close a connection; the next request on it opens it again."""
        if connection.socket is not None:
            descriptor = connection.socket.fileno()
            self.poller.remove(descriptor)
            del self.connections[descriptor]
            connection.close()
        connection.unsent = None

    def _feed(self, connection: Connection, data: bytes, now: int) -> None:
        if connection.reader is None:
            connection.reader = AnswerReader(connection.expectation)
        try:
            complete = connection.reader.feed(data)
        except BadAnswer as error:
            self.fail(connection, "garbage", str(error))
            return
        if complete:
            self._complete(connection, connection.reader, now)

    def _complete(self, connection: Connection, reader: AnswerReader, now: int) -> None:
        head = reader.head
        assert head is not None
        if connection.unsent is not None or not head.keep_alive:
            self.disconnect(connection)
        self.judge(connection, reader, head, now)
        self.free(connection, now)

    def _end_of_file(self, connection: Connection, now: int) -> None:
        reader = connection.reader
        if reader is not None and reader.end_of_file():
            self.disconnect(connection)
            self._complete(connection, reader, now)
        else:
            self.broken(connection, ConnectionResetError("the server closed the connection"))

    def _send_later(self, connection: Connection, unsent: memoryview) -> None:
        connection.unsent = unsent
        # an answer that comes before the request is out needs care: not the short way
        connection.reader = AnswerReader(connection.expectation)
        assert connection.socket is not None
        self.poller.change(connection.socket.fileno(), READ | WRITE)

    def _refused(self, connection: Connection, error: OSError) -> None:
        self.disconnect(connection)
        got = f"no connection: {error.strerror or error}"
        connection.recorder.failed(connection, "refused", got, None)
        self.rest(connection, clock())
        self.retire(connection)

    def _reopen(self, connection: Connection) -> None:
        connection.recorder.reconnects += 1
        connection.reader = None
        connection.may_retry = False
        try:
            connection.begin_open()
        except OSError as error:
            connection.close()
            self._refused(connection, error)
            return
        self.watch(connection)
        self._send_later(connection, memoryview(connection.payload))
