"""The grader's end of the line to a submission's process: one JSON object a line, with time limits.

What comes back was written by a process that runs foreign code: it is bounded in time and
length and only ever read as JSON.
"""

import json
import select
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST_REPLY_BYTES = 2**20


class NoReply(Exception):
    """Nothing (or nothing readable) came back. ``closed`` tells whether the other end is gone."""

    def __init__(self, closed: bool) -> None:
        super().__init__("the submission's process does not reply")
        self.closed = closed


class Channel:
    """One end of a line whose other end a process inherits: nobody else can get hold of it."""

    def __init__(self) -> None:
        self._connection, self.other_end = socket.socketpair(socket.AF_UNIX)

    def ask(
        self, order: Mapping[str, Any], seconds: float, descriptors: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Send an order, with descriptors if it needs some, and wait for the reply.

        Raises:
            NoReply: none came within ``seconds``, or none that can be read.
        """
        deadline = time.monotonic() + seconds
        try:
            self._connection.settimeout(seconds)
            line = json.dumps(order).encode() + b"\n"
            sent = socket.send_fds(self._connection, [line], descriptors)
            self._connection.sendall(line[sent:])
            reply = json.loads(self._line(self._connection, deadline))
        except (OSError, ValueError, RecursionError) as error:
            raise NoReply(closed=isinstance(error, ConnectionError)) from error
        if not isinstance(reply, dict):
            raise NoReply(closed=False)
        return reply

    def hung_up(self) -> bool:
        """Has the process closed its end? Only of meaning between orders."""
        readable, _, _ = select.select([self._connection], [], [], 0)
        try:
            return bool(readable) and not self._connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def close(self) -> None:
        """Hang up."""
        self.other_end.close()
        self._connection.close()

    @staticmethod
    def _line(connection: socket.socket, deadline: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or len(line) > _LONGEST_REPLY_BYTES:
                raise NoReply(closed=False)
            connection.settimeout(left)
            part = connection.recv(65536)
            if not part:
                raise NoReply(closed=True)
            line += part
        return line
