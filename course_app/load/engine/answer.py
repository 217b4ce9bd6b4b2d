"""Reading HTTP/1.1 answers.

A server's heads repeat (only Date changes, once a second), so a head seen before is one dictionary
look-up; httptools parses the others. Bodies of known length are counted, not parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import httptools

from course_app.load.codings import EXCERPT_BYTES, readable

HEAD_END = b"\r\n\r\n"
MOST_HEAD_BYTES = 65_536
MOST_KNOWN_HEADS = 4096
MOST_KEPT_BYTES = 64 * 1024 * 1024
NOT_PLAIN = -1


class BadAnswer(Exception):
    """What came is no HTTP answer."""


class Expectation(NamedTuple):
    """What makes an answer right, whether it comes without a body (HEAD), whether to keep it.

    ``repeatable``: its request changes nothing, and may be sent again.
    """

    statuses: frozenset[int]
    body: bytes | None
    bodiless: bool
    keep: bool = False
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer.

    ``body_bytes`` is None where only an end mark or the connection's end ends the body.
    ``plain_bytes`` is the whole answer's length if nothing about it needs care, else NOT_PLAIN.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body_bytes: int | None
    chunked: bool
    keep_alive: bool
    plain_bytes: int


KNOWN_HEADS: dict[bytes, Head] = {}


class _HeadParser:
    """Collects what httptools reports of one head."""

    def __init__(self, raw: bytes) -> None:
        self.headers: list[tuple[str, str]] = []
        self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(raw)
        except httptools.HttpParserUpgrade as error:
            raise BadAnswer("a switch of protocols, which was not asked for") from error
        except httptools.HttpParserError as error:
            raise BadAnswer(f"no HTTP answer ({error})") from error

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def head(self, raw: bytes) -> Head:
        status = self._parser.get_status_code()
        fields = dict(self.headers)
        chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        body_bytes = None if chunked else _body_bytes(status, fields)
        # uvicorn ends a connection after an exception in the app without announcing it
        keep_alive = status != 500 and _keep_alive(self._parser.get_http_version(), fields)
        plain = keep_alive and body_bytes is not None and status >= 200
        return Head(
            status=status,
            headers=tuple(self.headers),
            body_bytes=body_bytes,
            chunked=chunked,
            keep_alive=keep_alive,
            plain_bytes=len(raw) + (body_bytes or 0) if plain else NOT_PLAIN,
        )


def _body_bytes(status: int, fields: dict[str, str]) -> int | None:
    if status in (204, 304) or status < 200:
        return 0
    length = fields.get("content-length")
    return None if length is None else int(length)


def _keep_alive(version: str, fields: dict[str, str]) -> bool:
    # not httptools' should_keep_alive: it is false for a HEAD answer without a length
    options = fields.get("connection", "").lower()
    return "keep-alive" in options if version == "1.0" else "close" not in options


def parse_head(raw: bytes) -> Head:
    """The head in ``raw`` (up to and with the empty line). Raises BadAnswer."""
    head = KNOWN_HEADS.get(raw)
    if head is None:
        head = _HeadParser(raw).head(raw)
        if len(KNOWN_HEADS) >= MOST_KNOWN_HEADS:
            KNOWN_HEADS.clear()
        KNOWN_HEADS[raw] = head
    return head


def told(head: Head, excerpt: bytes) -> str:
    """An answer in one line: what it is, and the beginning of its text as a client reads it."""
    fields = dict(head.headers)
    if 300 <= head.status < 400 and "location" in fields:
        return f"status {head.status}, a redirect to {fields['location']}"
    if head.body_bytes == 0 or not excerpt:
        return f"status {head.status} without a body"
    return f"status {head.status}: {readable(excerpt, fields)}"


class AnswerReader:
    """Reads one answer from any number of segments, of any form."""

    def __init__(self, expectation: Expectation) -> None:
        self.head: Head | None = None
        self.excerpt = b""
        self.body = bytearray()
        self.begun = False
        self.body_found = expectation.body is None
        self._expectation = expectation
        self._pending = b""
        self._tail = b""
        self._left: int | None = None
        self._chunks: _ChunkParser | None = None

    @property
    def keeps(self) -> bool:
        """Whether the whole body is kept."""
        return self._expectation.keep

    def feed(self, data: bytes) -> bool:
        """Take a segment; whether the answer is complete now. Raises BadAnswer."""
        self.begun = True
        while self.head is None:
            data = self._pending + data
            end = data.find(HEAD_END) + len(HEAD_END)
            if end < len(HEAD_END):
                return self._wait_for_head(data)
            complete = self._begin(data[:end])
            self._pending, data = b"", data[end:]
            if complete:
                return self._end(data)
        return self._feed_body(data)

    def end_of_file(self) -> bool:
        """The connection ended; whether that completed the answer."""
        return self.head is not None and self._left is None and self._chunks is None

    def _wait_for_head(self, data: bytes) -> bool:
        if len(data) > MOST_HEAD_BYTES:
            raise BadAnswer(f"a head of more than {MOST_HEAD_BYTES} bytes")
        if not b"HTTP/1.".startswith(data[:7]):
            raise BadAnswer(f"no HTTP answer: {data[:EXCERPT_BYTES]!r}")
        self._pending = data
        return False

    def _begin(self, raw: bytes) -> bool:
        head = parse_head(raw)
        if head.status < 200:  # an interim answer (RFC 9110, 15.2): the real one follows
            return False
        self.head = head
        if self._expectation.bodiless or head.body_bytes == 0:
            return True
        self._left = head.body_bytes
        if head.chunked:
            self._chunks = _ChunkParser(raw)
        return False

    def _feed_body(self, data: bytes) -> bool:
        if self._chunks is not None:
            for part in self._chunks.feed(data):
                self._take(part)
            return self._chunks.complete
        if self._left is None:
            self._take(data)
            return False
        self._take(data[: self._left])
        over = data[self._left :]
        self._left -= len(data) - len(over)
        return self._left == 0 and self._end(over)

    def _end(self, over: bytes) -> bool:
        if over:
            raise BadAnswer(f"{len(over)} more bytes than announced: {over[:EXCERPT_BYTES]!r}")
        return True

    def _take(self, part: bytes) -> None:
        if len(self.excerpt) < EXCERPT_BYTES:
            self.excerpt += part[: EXCERPT_BYTES - len(self.excerpt)]
        if self._expectation.keep:
            self.body += part
            if len(self.body) > MOST_KEPT_BYTES:
                raise BadAnswer(f"a body of more than {MOST_KEPT_BYTES >> 20} MiB")
        wanted = self._expectation.body
        if wanted is not None and not self.body_found:
            seen = self._tail + part
            self.body_found = wanted in seen
            self._tail = seen[-len(wanted) + 1 :] if len(wanted) > 1 else b""


class _ChunkParser:
    """The body of a chunked answer (httptools knows the form; RFC 9112, 7.1)."""

    def __init__(self, head: bytes) -> None:
        self.complete = False
        self._parts: list[bytes] = []
        self._messages = 0
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(head)

    def feed(self, data: bytes) -> list[bytes]:
        """The parts of the body in ``data``. Raises BadAnswer."""
        self._parts = []
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise BadAnswer(f"a broken chunk ({error})") from error
        if self._messages > 1:
            raise BadAnswer("more bytes after the last chunk")
        return self._parts

    def on_message_begin(self) -> None:
        self._messages += 1

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        self.complete = True
