"""What is sent: requests with changing values, and weighted mixes of them."""

from __future__ import annotations

import functools
import json as jsonlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from course_app.load.distributions import (
    Distribution,
    Scalar,
    check_placeholders,
    require_scalar,
)
from course_app.load.limits import BadWorkload, within

Value = Scalar | Distribution


@dataclass(frozen=True)
class Request:
    """One kind of request. Make it with `get`, `post`, `put`, `patch`, `delete`, `head`, `request`.

    ``path`` may hold ``{placeholders}``, which ``values`` fill (percent-encoded). ``json`` and
    ``headers`` may hold distributions anywhere. An answer is right if its status is one of
    ``expect_status`` and ``expect_body`` occurs in its body, byte for byte as it was sent (so a
    compressed body is compared compressed). ``recorded`` holds paths as they were once asked for;
    where there are any, one of them is sent each time, and ``path`` only names them.
    """

    method: str
    path: str
    values: tuple[tuple[str, Value], ...] = ()
    headers: tuple[tuple[str, Value], ...] = ()
    json: Any = None
    content: bytes | None = None
    expect_status: tuple[int, ...] = (200,)
    expect_body: bytes | None = None
    weight: float = 1.0
    recorded: tuple[str, ...] = ()

    def describe(self) -> str:
        """The request as a reader would name it: ``GET /users/{user_id}``."""
        return f"{self.method} {self.path}"

    def distributions(self) -> list[Distribution]:
        """All changing values that it holds."""
        return _distributions(
            [*dict(self.values).values(), *dict(self.headers).values(), self.json]
        )

    @property
    def varies(self) -> bool:
        """Whether two of it may differ."""
        return bool(self.recorded or self.distributions())

    @property
    def endless(self) -> bool:
        """Whether it holds a sequence, so that no rendered request may be sent twice."""
        return any(each.endless for each in self.distributions())


@dataclass(frozen=True)
class Workload:
    """Requests, each with its weight; one is drawn for each request that is sent."""

    requests: tuple[Request, ...]

    def describe(self) -> str:
        """``GET /users/{user_id}``, or the shares of a mix: ``80% GET /a, 20% POST /b``."""
        if len(self.requests) == 1:
            return self.requests[0].describe()
        total = sum(request.weight for request in self.requests)
        return ", ".join(
            f"{100 * request.weight / total:.0f}% {request.describe()}" for request in self.requests
        )

    @property
    def varies(self) -> bool:
        """Whether a request of it may differ from the next one of its kind."""
        return any(request.varies for request in self.requests)

    @property
    def endless(self) -> bool:
        """Whether a request of it holds a sequence."""
        return any(request.endless for request in self.requests)

    def render(self, count: int, seed: int, host: str) -> tuple[list[bytes], list[int]]:
        """The first ``count`` requests as they are sent, and which of ``requests`` each one is."""
        from course_app.load.rendering import RequestStream

        stream = RequestStream(self, seed, host)
        drawn = [stream.draw() for _ in range(count)]
        return [payload for payload, _ in drawn], [index for _, index in drawn]


def request(
    method: str,
    path: str,
    *,
    headers: Mapping[str, Value] | None = None,
    json: Any = None,
    content: bytes | str | None = None,
    expect_status: int | Iterable[int] = 200,
    expect_body: str | bytes | None = None,
    weight: float = 1.0,
    **values: Value,
) -> Request:
    """A request, and what answers count as right; ``get``, ``post`` and so on name its method.

    Args:
        path: with placeholders such as ``{user_id}``, filled from ``values``.
        headers: their values may hold distributions, too.
        json: a body, encoded as JSON; distributions in it are drawn anew for each request.
        content: a body as it is.
        expect_status: an answer with another status is an error; several may be right.
        expect_body: if given, an answer with another body is an error.
        weight: how often it is drawn in a ``mix``, relative to the others.
        values: one for each placeholder: a constant, or ``uniform``, ``zipf``, ``choice`` or
            ``sequence``.

    Raises:
        BadWorkload: it cannot be sent as described.
    """
    if not path.startswith("/"):
        raise BadWorkload(f"A path begins with a slash; {path!r} does not.")
    if json is not None and content is not None:
        raise BadWorkload(f"{method} {path} has two bodies: give json or content, not both.")
    within("weight", weight, 1e-9, 1e9)
    check_placeholders(path, values)
    _check_json(json)
    for value in (*values.values(), *(headers or {}).values()):
        if not isinstance(value, Distribution):
            require_scalar(value)
    return Request(
        method=method.upper(),
        path=path,
        values=tuple(values.items()),
        headers=tuple((headers or {}).items()),
        json=json,
        content=content.encode() if isinstance(content, str) else content,
        expect_status=_statuses(expect_status),
        expect_body=expect_body.encode() if isinstance(expect_body, str) else expect_body,
        weight=weight,
    )


def _verb(method: str) -> functools.partial[Request]:
    verb = functools.partial(request, method)
    verb.__doc__ = f"``{method} path``; the other arguments are those of `request`."
    return verb


get = _verb("GET")
head = _verb("HEAD")
post = _verb("POST")
put = _verb("PUT")
patch = _verb("PATCH")
delete = _verb("DELETE")


def mix(*requests: Request) -> Workload:
    """Several requests, drawn by their weights."""
    if not requests:
        raise BadWorkload("mix() needs at least one request.")
    return Workload(requests)


def as_workload(what: str | Request | Workload) -> Workload:
    """A workload from a path (a GET), a request or a workload."""
    if isinstance(what, Workload):
        return what
    if isinstance(what, str):
        what = get(what)
    if not isinstance(what, Request):
        raise BadWorkload(f"{repr(what)[:80]} is no workload: give a path, a request or mix(...).")
    return Workload((what,))


def _statuses(expected: int | Iterable[int]) -> tuple[int, ...]:
    return (expected,) if isinstance(expected, int) else tuple(expected)


def _distributions(value: Any) -> list[Distribution]:
    if isinstance(value, Distribution):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [found for item in value for found in _distributions(item)]
    return []


def _check_json(value: Any) -> None:
    try:
        jsonlib.dumps(value, default=_stand_in, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        shown = f"{value!r:.200}"
        raise BadWorkload(f"A request cannot carry {shown} as JSON: {error}.") from error


def _stand_in(held: object) -> None:
    if not isinstance(held, Distribution):
        raise TypeError(f"a {type(held).__name__} is not JSON")
