"""One connection of a target, and the target itself, as the generator process knows them."""

from __future__ import annotations

import errno
import socket
import time
from dataclasses import dataclass, field

from course_app.load.engine.answer import AnswerReader, Expectation
from course_app.load.engine.recorder import Recorder
from course_app.load.engine.stream import SampleStream, Stream
from course_app.load.limits import NobodyListens, OutOfBounds
from course_app.system import open_files

CONNECT_SECONDS = 5.0


@dataclass
class Target:
    """A server's address, the requests for it, and the connections to it."""

    address: tuple[str, int]
    stream: Stream | SampleStream
    numbered: bool
    timeout_ns: int
    resends: bool = False
    connections: list[Connection] = field(default_factory=list)

    def open(self, concurrency: int, seconds_apart: float = 0.0) -> None:
        """Open the connections: all of them or none. Raises NobodyListens, OutOfBounds."""
        self.connections = [Connection(self) for _ in range(concurrency)]
        try:
            for connection in self.connections:
                connection.open()
                if seconds_apart:
                    time.sleep(seconds_apart)
        except BaseException:
            self.close()  # nobody else does: they refer to each other, and no garbage is collected
            raise

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


class Connection:
    """A socket and the request that is on its way through it."""

    __slots__ = (
        "busy",
        "expectation",
        "intended_ns",
        "may_retry",
        "number",
        "payload",
        "reader",
        "recorder",
        "rested_ns",
        "socket",
        "started_ns",
        "target",
        "unsent",
    )

    def __init__(self, target: Target) -> None:
        self.target = target
        self.socket: socket.socket | None = None
        self.busy = False
        self.may_retry = False
        self.number = 0
        self.intended_ns = 0
        self.started_ns = 0
        self.rested_ns = 0
        #: The latest request; none yet on a connection that nobody has used.
        self.payload = b""
        self.unsent: memoryview | None = None
        self.expectation: Expectation
        self.recorder: Recorder
        self.reader: AnswerReader | None = None

    def open(self) -> None:
        """Connect and wait for it. Raises NobodyListens, OutOfBounds."""
        host, port = self.target.address
        try:
            self.socket = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                most = open_files.allow(0)  # asks only
                raise OutOfBounds(
                    f"No connection can be opened any more ({error.strerror}): the load generator "
                    f"may hold {most:,} files and connections. Ask for fewer connections, or raise "
                    "the limit (`ulimit -n`)."
                ) from error
            raise NobodyListens(
                f"No server accepts connections at {host}:{port} ({error.strerror or error}): "
                "start it first, or look whether it is still alive."
            ) from error
        self._prepare(self.socket)
        self.payload = b""
        self.rested_ns = time.perf_counter_ns()

    def begin_open(self) -> bool:
        """Connect without waiting; whether it is done already. Raises OSError."""
        family = socket.AF_INET6 if ":" in self.target.address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self._prepare(self.socket)
        code = self.socket.connect_ex(self.target.address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, errno.errorcode.get(code, "cannot connect"))
        return code == 0

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def still_open(self) -> bool:
        """Whether an idle connection can take a request: nothing to read, not even its end."""
        if self.socket is None:
            return False
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    @staticmethod
    def _prepare(opened: socket.socket) -> None:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
