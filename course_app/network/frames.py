"""Messages on a pipe: JSON after its length in four bytes, most significant first."""

import json
from typing import Any

Message = dict[str, Any]

_LENGTH_BYTES = 4


def pack(message: Message) -> bytes:
    """One message as bytes."""
    body = json.dumps(message).encode()
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class Unpacker:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with these bytes."""
        self._buffer += data
        messages: list[Message] = []
        while (end := self._end_of_first()) is not None:
            messages.append(json.loads(self._buffer[_LENGTH_BYTES:end]))
            del self._buffer[:end]
        return messages

    def _end_of_first(self) -> int | None:
        if len(self._buffer) < _LENGTH_BYTES:
            return None
        end = _LENGTH_BYTES + int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
        return end if end <= len(self._buffer) else None
