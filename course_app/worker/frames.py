"""How a worker and its owner talk: frames over two pipes.

A frame is a length (4 bytes), a JSON header of that length, and the raw arrays that the header
lists. No pickle: neither side can be made to run what the other sends.
"""

from __future__ import annotations

import json
import os
import struct
from array import array
from collections.abc import Mapping
from typing import Any, TypeAlias

Header: TypeAlias = "dict[str, Any]"

LENGTH = struct.Struct("!I")
PART_BYTES = 1 << 20


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


def _write_all(descriptor: int, view: memoryview) -> None:
    while view.nbytes:
        view = view[os.write(descriptor, view[:PART_BYTES]) :]


class FrameReader:
    """Reads frames, and never a byte beyond them. What an interrupt leaves unread is read next."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = bytearray()

    def read(self) -> tuple[Header, dict[str, bytes]]:
        """Read one frame; blocks until it is complete. Raises PipeClosed."""
        self._hold(LENGTH.size)
        end = LENGTH.size + LENGTH.unpack_from(self._held)[0]
        self._hold(end)
        header: Header = json.loads(self._held[LENGTH.size : end])
        arrays: dict[str, bytes] = {}
        for name, size in header.pop("arrays"):
            self._hold(end + size)
            arrays[name] = bytes(memoryview(self._held)[end : end + size])
            end += size
        self._held = bytearray()
        return header, arrays

    def _hold(self, size: int) -> None:
        while (missing := size - len(self._held)) > 0:
            if not (part := os.read(self._descriptor, min(missing, PART_BYTES))):
                raise PipeClosed
            self._held += part
