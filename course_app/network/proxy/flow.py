"""One direction of a connection: pieces are read, held until they are due, and written."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from socket import SHUT_WR

from course_app.network.proxy.agenda import Agenda
from course_app.network.proxy.end import End
from course_app.system.poller import READ, WRITE

#: One read. Small enough for malloc to use the same memory again instead of mapping pages.
CHUNK_BYTES = 64 * 1024

#: No more than this is held in one direction: 1 GB/s at 30 ms one way.
MOST_HELD_BYTES = 32 * 1024 * 1024

Count = Callable[[int], None]


@dataclass(slots=True)
class Piece:
    """Bytes, and when they are due; no bytes mean the end of the stream."""

    due: float
    data: memoryview


def count_nothing(_size_bytes: int) -> None:
    """For those who do not want to know."""


class Flow:
    """From one end to the other. It delays pieces, not the rate at which they pass.

    Args:
        over: called once, when this direction has ended in good order (True), or when
            nobody is there any more to write to (False).
        count_read, count_written: told of every piece that was read, or written.
    """

    def __init__(
        self,
        source: End,
        sink: End,
        agenda: Agenda,
        over: Callable[[bool], None],
        *,
        count_read: Count = count_nothing,
        count_written: Count = count_nothing,
    ) -> None:
        self._source, self._sink, self._agenda, self._over = source, sink, agenda, over
        self._count_read, self._count_written = count_read, count_written
        self._held: deque[Piece] = deque()
        self._held_bytes = 0
        self._last_due = 0.0
        self._planned = False
        self._open = False
        self._read_all = False
        self._stopped = False

    def open(self, now: float) -> None:
        """From now on the sink can be written to."""
        self._open = True
        self.write(now)

    def stop(self) -> None:
        """Drop what is held; later calls do nothing."""
        self._stopped = True
        self._held.clear()

    def read(self, now: float, due: float) -> None:
        """Take what has arrived; it is to be passed on at ``due``."""
        if self._stopped or self._read_all:
            return
        try:
            data = self._source.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._count_read(len(data))
        self._read_all = not data
        self._held_bytes += len(data)
        # Pieces must not overtake each other when the delay is turned down.
        self._last_due = max(due, self._last_due)
        self._held.append(Piece(self._last_due, memoryview(data)))
        self.write(now)

    def write(self, now: float) -> None:
        """Pass on what is due, and plan the rest."""
        blocked = False
        while self._open and not blocked and self._held and self._held[0].due <= now:
            blocked = not self._pass_on(self._held[0])
        if self._stopped:
            return
        self._source.want(READ, not self._read_all and self._held_bytes < MOST_HELD_BYTES)
        if not self._open:
            return
        self._sink.want(WRITE, blocked)
        if self._held and not blocked and not self._planned:
            self._planned = True
            self._agenda.add(self._held[0].due, self._come_due)

    def _come_due(self, now: float) -> None:
        self._planned = False
        self.write(now)

    def _pass_on(self, piece: Piece) -> bool:
        """Write one piece; False if some of it has to wait for room."""
        try:
            if not piece.data:
                self._sink.sock.shutdown(SHUT_WR)
                self._finish(in_order=True)
                return True
            sent = self._sink.sock.send(piece.data)
        except BlockingIOError:
            return False
        except OSError:
            self._finish(in_order=False)
            return True
        self._count_written(sent)
        self._held_bytes -= sent
        piece.data = piece.data[sent:]
        if piece.data:
            return False
        self._held.popleft()
        return True

    def _finish(self, *, in_order: bool) -> None:
        self.stop()
        self._over(in_order)
