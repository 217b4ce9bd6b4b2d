"""How an app is asked: routes that somebody named, recorded, or that its own description lists.

Nothing but GET and HEAD is ever sent, unless a request of another method is named one by one.
"""

from __future__ import annotations

import dataclasses
import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from course_app.examine.target import CannotExamine
from course_app.load import Distribution, LoadError, Request, choice, request, uniform
from course_app.load.distributions import Scalar

READING = ("GET", "HEAD")
#: Answers that are no failure: what was asked for, a redirection, or that there is no such thing.
RIGHT = (*range(200, 207), 301, 302, 303, 304, 307, 308, 404, 410)
#: So many recorded paths are kept for each route, evenly out of all: enough to look like the rest.
MOST_RECORDED = 2000

#: Apache's common and combined formats, nginx's, and the line of uvicorn's own log.
_LOG_LINE = re.compile(r'"([A-Z]+) (\S+) HTTP/[\d.]+" (\d{3})\b')
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
#: What stands for one thing among many in a path that nobody describes: 17, a UUID, a long hash.
_IDENTIFIER = re.compile(r"\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|(?=[a-f]*\d)[0-9a-f]{12,}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Traffic:
    """What is sent, one request for each route, and a sentence for each thing that is not."""

    requests: tuple[Request, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recorded:
    """One request that somebody made once: method, path with query, and the status it got."""

    method: str
    path: str
    status: int


def named(paths: Sequence[str], values: Sequence[str], headers: Mapping[str, str]) -> Traffic:
    """Requests from a command line.

    Args:
        paths: such as ``/users/{id}``; another method than GET goes before: ``POST /login``.
        values: such as ``id=1..100000`` (whole numbers), ``tag=a,b,c`` or ``page=3``.

    Raises:
        CannotExamine: a path or a value cannot be read, or one is missing.
    """
    known = dict(_value(text) for text in values)
    used: set[str] = set()
    requests = []
    for text in paths:
        method, _, path = text.rpartition(" ") if " " in text.strip() else ("GET", "", text)
        names = [name for _, name, _, _ in string.Formatter().parse(path) if name]
        used |= set(names)
        if missing := [name for name in names if name not in known]:
            raise CannotExamine(
                f"{text} has no values for {missing[0]!r}: add --values {missing[0]}=1..1000, "
                f"or --values {missing[0]}=a,b,c."
            )
        picked = {name: known[name] for name in names}
        requests.append(_request(method.strip(), path.strip(), picked, headers))
    if unused := sorted(set(known) - used):
        raise CannotExamine(
            f"--values {unused[0]}=... belongs to no --get: write {{{unused[0]}}} where it goes."
        )
    return Traffic(_once(requests))


def _once(requests: Iterable[Request]) -> tuple[Request, ...]:
    """Each request once: the same route asked for twice would be looked at twice."""
    kept: list[Request] = []
    for each in requests:
        if each not in kept:  # not a dict: a JSON body has no hash
            kept.append(each)
    return tuple(kept)


def _value(text: str) -> tuple[str, Distribution | Scalar]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not value:
        raise CannotExamine(
            f"--values {text} cannot be read: write NAME=LOW..HIGH, NAME=A,B,C or NAME=VALUE, "
            "such as id=1..100000."
        )
    if bounds := _RANGE.fullmatch(value):
        low, high = int(bounds[1]), int(bounds[2])
        if low > high:
            raise CannotExamine(f"--values {text} is empty: give the lower number first.")
        return name, uniform(low, high)
    return name, choice(value.split(",")) if "," in value else value


def declared(routes: Any, headers: Mapping[str, str]) -> Traffic:
    """Requests from ``ROUTES`` beside the app.

    Each is a dict: ``method``, ``path``, and ``values`` by the names in the path: two numbers are
    bounds, a longer list (or one of texts) holds the values themselves, anything else is constant.
    It may have ``json`` for a body.

    Raises:
        CannotExamine: they cannot be read.
    """
    if not isinstance(routes, list | tuple) or not routes:
        raise CannotExamine(
            "ROUTES beside the app is no list of routes. Each looks like "
            '{"method": "GET", "path": "/users/{id}", "values": {"id": [1, 100000]}}.'
        )
    return Traffic(_once(_declared(each, headers) for each in routes))


def _declared(route: Any, headers: Mapping[str, str]) -> Request:
    if isinstance(route, str):
        route = {"path": route}
    if not isinstance(route, Mapping) or not isinstance(route.get("path"), str):
        raise CannotExamine(
            f"ROUTES holds {route!r:.80}, which has no path. A route looks like "
            '{"method": "GET", "path": "/users/{id}", "values": {"id": [1, 100000]}}.'
        )
    values = {name: _spread(value) for name, value in (route.get("values") or {}).items()}
    method = str(route.get("method", "GET"))
    made = _request(method, route["path"], values, headers, route.get("json"))
    return dataclasses.replace(made, weight=float(route.get("weight", 1.0)))


def _spread(value: Any) -> Distribution | Scalar:
    if not isinstance(value, list | tuple):
        return value  # type: ignore[no-any-return]
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
    if len(value) == 2 and numbers and value[0] <= value[1]:
        return uniform(value[0], value[1])
    return choice(list(value))


def _request(
    method: str,
    path: str,
    values: Mapping[str, Any],
    headers: Mapping[str, str],
    json_body: Any = None,
) -> Request:
    """A request as somebody named it; what the generator would refuse is refused here."""
    reserved = {"method", "path", "headers", "json", "content", "expect_status", "expect_body"}
    renamed = {name: f"{name}_" if name in reserved | {"weight"} else name for name in values}
    for old, new in renamed.items():
        path = path.replace(f"{{{old}}}", f"{{{new}}}")
    try:
        return request(
            method or "GET",
            path,
            headers=headers,
            json=json_body,
            expect_status=RIGHT,
            **{renamed[name]: value for name, value in values.items()},
        )
    except (LoadError, ValueError, TypeError) as error:
        raise CannotExamine(f"{method} {path} cannot be sent: {error}") from error


def read_log(file: Path) -> Iterator[Recorded]:
    """The requests of an access log: common or combined format, nginx's, uvicorn's.

    Raises:
        CannotExamine: there is no such file, or no line of it is one of these.
    """
    found = False
    with _opened(file) as lines:
        for line in lines:
            if match := _LOG_LINE.search(line):
                found = True
                yield Recorded(match[1], _relative(match[2]), int(match[3]))
    if not found:
        raise CannotExamine(
            f"{file} holds no line of an access log, such as "
            '127.0.0.1 - - [28/Nov/2026:10:00:00 +0000] "GET /users/7 HTTP/1.1" 200 512.'
        )


def read_har(file: Path) -> Iterator[Recorded]:
    """The requests of a HAR file, as browsers and proxies save them.

    Raises:
        CannotExamine: there is no such file, or it is no HAR file.
    """
    with _opened(file) as text:
        try:
            entries = json.loads(text.read())["log"]["entries"]
            for entry in entries:
                asked, got = entry["request"], entry.get("response") or {}
                status = int(got.get("status") or 200)
                yield Recorded(str(asked["method"]), _relative(str(asked["url"])), status)
        except (ValueError, KeyError, TypeError) as error:
            raise CannotExamine(
                f"{file} is no HAR file ({type(error).__name__}: {error}). In a browser: "
                "developer tools, Network, save all as HAR."
            ) from error


def _opened(file: Path) -> Any:
    try:
        return file.open(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise CannotExamine(
            f"{file} cannot be read: {error.strerror}. A path counts from the folder you are in."
        ) from error


def _relative(url: str) -> str:
    """Path and query of a URL, wherever the host was."""
    parts = urlsplit(url)
    path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
    return f"{path}?{parts.query}" if parts.query else path


def replayed(
    recorded: Iterable[Recorded], templates: Sequence[str], headers: Mapping[str, str]
) -> Traffic:
    """One request for each route out of what was recorded; it sends the paths as they were.

    Args:
        templates: the app's own routes, such as ``/users/{id}``. Without any, numbers and long
            identifiers in a path are taken for values.

    Raises:
        CannotExamine: nothing of it can be sent to the app.
    """
    matchers = [(template, _matcher(template)) for template in _fixed_first(templates)]
    paths: dict[tuple[str, str], list[str]] = {}
    left_out: Counter[str] = Counter()
    for each in recorded:
        if each.method not in READING:
            left_out[f"{each.method} (only GET and HEAD are replayed)"] += 1
        elif not (200 <= each.status < 400):
            left_out["that had failed when they were recorded"] += 1
        elif (template := _template(each.path, matchers)) is None:
            left_out["to paths that the app does not have"] += 1
        else:
            paths.setdefault((each.method, template), []).append(each.path)
    notes = tuple(f"{count:,} recorded requests {why}." for why, count in left_out.items())
    if not paths:
        raise CannotExamine(f"Nothing that was recorded can be asked here: {' '.join(notes)}")
    total = sum(map(len, paths.values()))
    return Traffic(
        tuple(
            Request(
                method,
                template,
                headers=tuple(headers.items()),
                expect_status=RIGHT,
                weight=len(sent) / total,
                recorded=tuple(sent[:: max(1, len(sent) // MOST_RECORDED)][:MOST_RECORDED]),
            )
            for (method, template), sent in paths.items()
        ),
        notes,
    )


def _fixed_first(templates: Sequence[str]) -> list[str]:
    """``/users/me`` before ``/users/{id}``, which would match it too."""
    return sorted(templates, key=lambda template: (template.count("{"), -len(template)))


def _matcher(template: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(template)
    texts = [re.escape(part) if i % 2 == 0 else _kind(part) for i, part in enumerate(parts)]
    return re.compile("".join(texts))


def _kind(placeholder: str) -> str:
    return ".+" if placeholder.endswith(":path") else "[^/]+"


def _template(path: str, matchers: Sequence[tuple[str, re.Pattern[str]]]) -> str | None:
    plain, _, _ = path.partition("?")
    if matchers:
        return next((template for template, match in matchers if match.fullmatch(plain)), None)
    parts = ["{id}" if _IDENTIFIER.fullmatch(part) else part for part in plain.split("/")]
    return "/".join(parts)
