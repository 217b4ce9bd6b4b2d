"""How the generator process and its owner talk: frames over two pipes.

A frame is a length (4 bytes), a JSON header of that length, and the raw arrays that the header
lists. No pickle: neither side can be made to run what the other sends.
"""

from __future__ import annotations

import json
import os
import struct
from array import array
from collections.abc import Mapping
from typing import Any

LENGTH = struct.Struct("!I")
WRITE_BYTES = 1 << 20


class PipeClosed(Exception):
    """The other side of the pipe has ended."""


def write_frame(
    descriptor: int,
    header: Mapping[str, Any],
    arrays: Mapping[str, array[int] | bytes] | None = None,
) -> None:
    """Write one frame; blocks until the pipe took it. Raises PipeClosed."""
    raw = {name: memoryview(held).cast("B") for name, held in (arrays or {}).items()}
    sizes = [[name, view.nbytes] for name, view in raw.items()]
    text = json.dumps({**header, "arrays": sizes}).encode()
    try:
        for part in (memoryview(LENGTH.pack(len(text)) + text), *raw.values()):
            _write_all(descriptor, part)
    except BrokenPipeError as error:
        raise PipeClosed from error


def read_frame(descriptor: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read one frame; blocks until it is complete. Raises PipeClosed."""
    (length,) = LENGTH.unpack(_read_exactly(descriptor, LENGTH.size))
    header: dict[str, Any] = json.loads(_read_exactly(descriptor, length))
    arrays = {name: _read_exactly(descriptor, size) for name, size in header.pop("arrays")}
    return header, arrays


def _write_all(descriptor: int, view: memoryview) -> None:
    while view.nbytes:
        view = view[os.write(descriptor, view[:WRITE_BYTES]) :]


def _read_exactly(descriptor: int, size: int) -> bytes:
    buffer = bytearray()
    while len(buffer) < size:
        if not (part := os.read(descriptor, min(size - len(buffer), WRITE_BYTES))):
            raise PipeClosed
        buffer += part
    return bytes(buffer)
