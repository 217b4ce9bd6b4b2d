"""What clients undo before they read a body, its Content-Encoding (RFC 9110, 8.4); excerpts."""

from __future__ import annotations

import codecs
import importlib
import io
import zlib
from collections.abc import Mapping
from typing import Any

EXCERPT_BYTES = 200

#: zlib's number for each format; "deflate" is the name of the zlib format in HTTP.
_ZLIB_FORMATS = {
    "gzip": 16 + zlib.MAX_WBITS,
    "x-gzip": 16 + zlib.MAX_WBITS,
    "deflate": zlib.MAX_WBITS,
}
#: Modules that have Python's own names for it, the newest first.
_ZSTD_MODULES = ("compression.zstd", "backports.zstd")


def decode(body: bytes, coding: str, most_bytes: int, *, whole: bool = True) -> bytes:
    """The body without its coding, of which no more than ``most_bytes`` is made.

    Args:
        whole: the body is one complete stream; else its beginning is enough.

    Raises:
        ValueError: the coding is none that can be undone here, or the body is not of it.
    """
    coding = coding.strip().lower()
    try:
        decoded, complete = _decoded(body, coding, most_bytes)
    except Exception as error:  # each library has errors of its own
        raise ValueError(f"a body that is not {coding} ({error})") from error
    if whole and not complete:
        raise ValueError(f"a body with more or less than one whole {coding} stream")
    return decoded


def readable(excerpt: bytes, fields: Mapping[str, str]) -> str:
    """The beginning of a body as text on one line, or of what type it is.

    Args:
        excerpt: the body, or the beginning of it, as it was sent.
    """
    coding = fields.get("content-encoding", "identity")
    kind = fields.get("content-type", "unknown type").partition(";")[0]
    try:
        if coding != "identity":
            excerpt = decode(excerpt, coding, EXCERPT_BYTES, whole=False)
        cut = len(excerpt) >= EXCERPT_BYTES
        excerpt = excerpt[:EXCERPT_BYTES]
        # The last character may be cut in two.
        text = codecs.getincrementaldecoder("utf-8")().decode(excerpt)
    except ValueError:
        return f"a body of {kind}" + (f", encoded as {coding}" if coding != "identity" else "")
    text = " ".join(text.split())
    if not text.isprintable():
        return f"a body of {kind}"
    return f"{text} …" if cut else text


def _decoded(body: bytes, coding: str, most_bytes: int) -> tuple[bytes, bool]:
    """What was decoded, and whether the body was one whole stream."""
    decoder: Any
    if coding in _ZLIB_FORMATS:
        decoder = zlib.decompressobj(_ZLIB_FORMATS[coding])
        decoded = decoder.decompress(body, most_bytes)
        return decoded, decoder.eof and not decoder.unused_data
    if coding == "br" and (brotli := _module("brotli")):
        decoder = brotli.Decompressor()
        decoded = decoder.process(body, output_buffer_limit=most_bytes)
        return decoded, decoder.is_finished()
    if coding == "zstd":
        for name in _ZSTD_MODULES:
            if zstd := _module(name):
                decoder = zstd.ZstdDecompressor()
                decoded = decoder.decompress(body, most_bytes)
                return decoded, decoder.eof and not decoder.unused_data
        if zstandard := _module("zstandard"):
            decoder = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body))
            return decoder.read(most_bytes), True
    raise LookupError("no decoder for it is installed")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
