"""What a client waits for is the first byte that it can read, wherever the head has been."""

import zlib
from collections.abc import Sequence

import pytest

from course_app.grading.overlap import Timed
from course_app.load import Response

PIECES = [b"a piece of news. " * 60, b"another piece. " * 60]


def timed(parts: Sequence[tuple[float, bytes]], *headers: tuple[str, str]) -> Timed:
    body, arrivals = b"", []
    for seconds, part in parts:
        body += part
        arrivals.append((seconds, len(body)))
    response = Response(200, headers, body, "GET / HTTP/1.1")
    return Timed(response, tuple(arrivals), seconds=1.0)


def packed(flush: bool) -> list[bytes]:
    """The pieces, and the end, as gzip."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = []
    for piece in PIECES:
        part = packer.compress(piece)
        parts.append(part + packer.flush(zlib.Z_SYNC_FLUSH) if flush else part)
    return [*parts, packer.flush()]


def test_of_plain_text_it_is_the_first_part() -> None:
    assert timed([(0.1, PIECES[0]), (0.9, PIECES[1])]).first_byte_seconds == 0.1


@pytest.mark.parametrize(("flush", "seconds"), [(True, 0.1), (False, 0.9)])
def test_of_gzip_it_is_the_first_part_that_gives_text(flush: bool, seconds: float) -> None:
    first, second, end = packed(flush)
    assert first  # gzip's head at the least
    parts = [(0.1, first), (0.5, second), (0.9, end)]
    parts = [(when, part) for when, part in parts if part]
    assert timed(parts, ("content-encoding", "gzip")).first_byte_seconds == seconds


@pytest.mark.parametrize("coding", ["gzip", "nothing-known"])
def test_without_anything_to_read_it_is_the_whole_wait(coding: str) -> None:
    assert timed([]).first_byte_seconds == 1.0
    broken = timed([(0.1, b"no such format")], ("content-encoding", coding))
    assert broken.first_byte_seconds == 1.0
