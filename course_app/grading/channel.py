"""The grader's end of the line to a submission's process: one JSON object a line, with time limits.

What comes back was written by a process that runs foreign code: it is bounded in time and
length and only ever read as JSON.
"""

import json
import select
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LONGEST_REPLY_BYTES = 2**20
_LOOK_SECONDS = 0.2


class NoReply(Exception):
    """Nothing (or nothing readable) came back. ``closed`` tells whether the other end is gone."""

    def __init__(self, closed: bool) -> None:
        super().__init__("the submission's process does not reply")
        self.closed = closed


class Channel:
    """Listens at ``path`` for one process, then asks it and reads its answers."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)  # the folder around it decides who gets here
        self._listener.listen(1)
        self._connection: socket.socket | None = None

    def accept(self, seconds: float, is_alive: Callable[[], bool]) -> None:
        """Wait for the process to connect.

        Args:
            is_alive: whether it is worth while to go on waiting.

        Raises:
            NoReply: it did not within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        self._listener.settimeout(_LOOK_SECONDS)
        while self._connection is None:
            try:
                self._connection, _ = self._listener.accept()
            except TimeoutError as error:
                if time.monotonic() > deadline or not is_alive():
                    raise NoReply(closed=False) from error

    def ask(self, order: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send an order and wait for the reply.

        Raises:
            NoReply: none came within ``seconds``, or none that can be read.
        """
        if self._connection is None:
            raise NoReply(closed=True)
        deadline = time.monotonic() + seconds
        try:
            self._connection.settimeout(seconds)
            self._connection.sendall(json.dumps(order).encode() + b"\n")
            reply = json.loads(self._line(self._connection, deadline))
        except (OSError, ValueError, RecursionError) as error:
            raise NoReply(closed=isinstance(error, ConnectionError)) from error
        if not isinstance(reply, dict):
            raise NoReply(closed=False)
        return reply

    def hung_up(self) -> bool:
        """Has the process closed its end? Only of meaning between orders."""
        if self._connection is None:
            return True
        readable, _, _ = select.select([self._connection], [], [], 0)
        try:
            return bool(readable) and not self._connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def close(self) -> None:
        """Hang up."""
        self._listener.close()
        if self._connection is not None:
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
