"""From a workload's description to the bytes that are sent, drawn from one seed."""

from __future__ import annotations

import functools
import itertools
import json
import string
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from course_app.load.distributions import Distribution, Scalar, Source, value_stream
from course_app.load.limits import BadWorkload
from course_app.load.workload import Request, Workload

PATH_CHARACTERS = "/?&=+,;:@!$'()*~%#[]"
"""What stays as it is in the fixed part of a path; all else is percent-encoded (RFC 3986)."""


class RequestStream:
    """The endless stream of requests that a workload and a seed describe.

    The same workload and seed give the same stream in any process on any machine. ``first`` lets
    sequences begin where that many requests went before.
    """

    def __init__(self, workload: Workload, seed: int, host: str, first: int = 0) -> None:
        source = Source(seed, first)
        self._random = source.random
        self._indexes = range(len(workload.requests))
        self._cumulative = list(itertools.accumulate(each.weight for each in workload.requests))
        self._renderers = [renderer(each, host, source) for each in workload.requests]

    def draw(self) -> tuple[bytes, int]:
        """The next request as it is sent, and which of the workload's requests it is."""
        index = 0
        if len(self._renderers) > 1:
            index = self._random.choices(self._indexes, cum_weights=self._cumulative)[0]
        return self._renderers[index](), index


def renderer(request: Request, host: str, source: Source) -> Callable[[], bytes]:
    """A function that renders the request's next variation each time it is called."""
    target = _path(request, source)
    headers = _headers(request, host, source)
    body = _body(request, source)

    def render() -> bytes:
        content = body()
        lines = f"{request.method} {target()} HTTP/1.1\r\n{headers()}"
        if content is None:
            return f"{lines}\r\n".encode("latin-1")
        return f"{lines}content-length: {len(content)}\r\n\r\n".encode("latin-1") + content

    return render if request.varies else itertools.repeat(render()).__next__


def _path(request: Request, source: Source) -> Callable[[], str]:
    if request.recorded:
        kept = [quote(each, safe=PATH_CHARACTERS) for each in request.recorded]
        return functools.partial(source.random.choice, kept)
    draws = {name: value_stream(value, source) for name, value in request.values}
    parts = [
        (quote(fixed, safe=PATH_CHARACTERS), name or "")
        for fixed, name, _, _ in string.Formatter().parse(request.path)
    ]

    def render() -> str:
        # A name that stands in two places has one value.
        drawn = {name: quote(as_text(draw()), safe="") for name, draw in draws.items()}
        return "".join([fixed + drawn.get(name, "") for fixed, name in parts])

    return render


def _headers(request: Request, host: str, source: Source) -> Callable[[], str]:
    fields: list[tuple[str, Scalar | Distribution]] = [*request.headers]
    given = {name.lower() for name, _ in request.headers}
    if "host" not in given:
        fields.insert(0, ("host", host))
    if request.json is not None and "content-type" not in given:
        fields.append(("content-type", "application/json"))
    draws = [(name, value_stream(value, source)) for name, value in fields]

    def render() -> str:
        return "".join(f"{_token(name)}: {_field(as_text(draw()))}\r\n" for name, draw in draws)

    changes = any(isinstance(value, Distribution) for _, value in fields)
    return render if changes else itertools.repeat(render()).__next__


def _body(request: Request, source: Source) -> Callable[[], bytes | None]:
    if request.json is None:
        empty = b"" if request.method in ("POST", "PUT", "PATCH") else None
        return lambda: empty if request.content is None else request.content
    value = _json_stream(request.json, source)
    return lambda: json.dumps(value(), separators=(",", ":"), ensure_ascii=False).encode()


def _json_stream(value: Any, source: Source) -> Callable[[], Any]:
    if isinstance(value, Distribution):
        return value.stream(source)
    if isinstance(value, Mapping):
        fields = [(name, _json_stream(item, source)) for name, item in value.items()]
        return lambda: {name: draw() for name, draw in fields}
    if isinstance(value, list | tuple):
        items = [_json_stream(item, source) for item in value]
        return lambda: [draw() for draw in items]
    return lambda: value


def as_text(value: Scalar) -> str:
    """A value as it stands in a path or a header: ``true`` and ``false`` in lower case."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _token(name: str) -> str:
    if not name or not all(letter.isascii() and letter.isprintable() for letter in name):
        raise BadWorkload(f"{name!r} is no name for a header.")
    return name


def _field(value: str) -> str:
    if "\r" in value or "\n" in value:
        raise BadWorkload(f"A header's value stays on one line; {value!r} does not.")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise BadWorkload(
            f"A header carries latin-1 letters only; {value!r} has others."
        ) from error
    return value
