"""What an app's own description (OpenAPI) says that can be asked, and with which values."""

from __future__ import annotations

import itertools
import math
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from course_app.examine.target import CannotExamine, Loaded
from course_app.examine.traffic import RIGHT, Traffic
from course_app.load import (
    Distribution,
    Generator,
    LoadError,
    Request,
    Response,
    TimedOut,
    choice,
    uniform,
)
from course_app.load.distributions import Scalar

#: What an identifier is guessed from where nothing tells: those that most tables begin with.
GUESSED_IDS = (1, 100)
_SAMPLES = 6
_ANSWER_SECONDS = 5.0
#: After so many routes without an answer, one after another, it is time to ask for the app's loop.
#: If it turns, the others get less time: all may wait for a database that is not there.
_MOST_SILENT = 3
_LESS_SECONDS = 1.0
#: Lists lead to things, things to lists in them.
_WAVES = 3
_MOST_HARVESTED = 500
_MOST_LOOKED_AT = 5000
_MOST_DEEP = 30

Asked = Callable[[str, float], None]


def describe(loaded: Loaded) -> dict[str, Any]:
    """In the app's process: ``ROUTES`` beside it and its OpenAPI, as plain data."""
    found: dict[str, Any] = {
        "routes": _plain(loaded.routes),
        "services": loaded.services,
        "openapi": None,
        "problem": "",
    }
    try:
        found["openapi"] = _openapi(loaded.app, 0)
    except Exception as error:
        found["problem"] = f"its OpenAPI cannot be made ({type(error).__name__}: {error})"
    return found


def _plain(routes: Any) -> Any:
    if isinstance(routes, range):
        return [routes.start, routes.stop - routes.step] if routes.step == 1 else list(routes)
    if isinstance(routes, Mapping):
        return {str(name): _plain(value) for name, value in routes.items()}
    if isinstance(routes, list | tuple | set | frozenset):
        return [_plain(each) for each in routes]
    return routes if isinstance(routes, Scalar) else str(routes)


def _openapi(app: Any, depth: int) -> dict[str, Any] | None:
    """An app's description with those of the apps that are mounted in it or wrapped by it."""
    if depth > _MOST_DEEP:
        return None
    if not callable(make := getattr(app, "openapi", None)):
        inner = getattr(app, "app", None)
        return _openapi(inner, depth + 1) if callable(inner) else None
    described = dict(make())
    paths, schemas = dict(described.get("paths") or {}), dict(_schemas(described))
    for route in getattr(app, "routes", ()):
        inner = getattr(route, "app", None)
        if inner is None or not callable(getattr(inner, "openapi", None)):
            continue
        mounted = _openapi(inner, depth + 1) or {}
        for path, item in (mounted.get("paths") or {}).items():
            paths.setdefault(f"{route.path}{path}", item)
        schemas = {**_schemas(mounted), **schemas}
    return {"paths": paths, "components": {"schemas": schemas}}


def _schemas(described: Mapping[str, Any]) -> Mapping[str, Any]:
    return (described.get("components") or {}).get("schemas") or {}


def templates(openapi: Mapping[str, Any] | None) -> list[str]:
    """The paths that can be read."""
    paths = (openapi or {}).get("paths") or {}
    return [path for path, item in paths.items() if "get" in item or "head" in item]


@dataclass
class Harvest:
    """Values that answers held, by the collection they came from and by the name they had there."""

    values: dict[tuple[str, str], dict[Scalar, None]] = field(default_factory=dict)

    def gather(self, path: str, body: Any) -> None:
        """Note what an answer to this path holds."""
        seen = itertools.islice(_within(body, _collection(path)), _MOST_LOOKED_AT)
        for where, key, value in seen:
            for place in (where, ""):
                kept = self.values.setdefault((place, key), {})
                if len(kept) < _MOST_HARVESTED:
                    kept[value] = None

    def of(self, collection: str, name: str, kind: str) -> list[Scalar]:
        """Values for a parameter behind a collection: ``/users/{user_id}``."""
        short = name.rpartition("_")[2] or name
        wanted = [(collection, name), (collection, short), (collection, "id"), ("", name)]
        stem = name.removesuffix("_id").removesuffix("Id")
        wanted += [(f"{stem}s", "id"), (stem, "id")] if stem != name else []
        for place in wanted:
            fitting = [value for value in self.values.get(place, ()) if _fits(value, kind)]
            if fitting:
                return fitting
        return []


def _collection(path: str) -> str:
    """``users`` for /api/users and for /users/{id}/users."""
    plain = [part for part in path.partition("?")[0].split("/") if part and "{" not in part]
    return plain[-1].lower() if plain else ""


def _within(body: Any, place: str, depth: int = 0) -> Iterator[tuple[str, str, Scalar]]:
    if depth > _MOST_DEEP:
        return
    if isinstance(body, Mapping):
        for key, value in body.items():
            if isinstance(value, Mapping | list):
                wrapped = key in ("items", "data", "results", "content")
                yield from _within(value, place if wrapped else str(key).lower(), depth + 1)
            elif isinstance(value, int | str) and not isinstance(value, bool) and value != "":
                yield place, str(key), value
    elif isinstance(body, list):
        for each in body:
            if isinstance(each, int | str) and not isinstance(each, bool):
                yield place, "id", each
            else:
                yield from _within(each, place, depth + 1)


def _fits(value: Scalar, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int)
    if kind == "string":
        return isinstance(value, str) and len(value) <= 100
    return True


class Unfillable(Exception):
    """A parameter for which nothing is known."""


def parameters_of(
    openapi: Mapping[str, Any], path: str, method: str
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Each parameter of an operation with its schema, references followed."""
    item = openapi["paths"][path]
    named: dict[tuple[str, str], Mapping[str, Any]] = {}
    for raw in (*item.get("parameters", ()), *item[method].get("parameters", ())):
        each = _resolved(raw, openapi)
        named[each.get("in", ""), each.get("name", "")] = each
    return [(each, _plainest(each.get("schema") or {}, openapi)) for each in named.values()]


def _resolved(node: Mapping[str, Any], openapi: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_MOST_DEEP):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            break
        name = reference.rpartition("/")[2]
        node = {**_schemas(openapi).get(name, {}), **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def _plainest(schema: Mapping[str, Any], openapi: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema, or of several that may be the first that is not null."""
    schema = _resolved(schema, openapi)
    for key in ("anyOf", "oneOf", "allOf"):
        several = [_resolved(each, openapi) for each in schema.get(key, ())]
        if real := [each for each in several if each.get("type") != "null"]:
            return {**real[0], **{k: v for k, v in schema.items() if k != key}}
    return schema


def value_for(
    parameter: Mapping[str, Any], schema: Mapping[str, Any], harvested: Sequence[Scalar]
) -> Distribution | Scalar:
    """Values for a parameter: its examples, its enum, what answers held, its bounds, its default,
    its format, and for an integer in a path what most tables begin with.

    Raises:
        Unfillable: nothing is known.
    """
    if examples := _examples(parameter, schema):
        return choice(examples)
    for known in (schema.get("enum"), [schema["const"]] if "const" in schema else None, harvested):
        if scalars := [value for value in known or () if isinstance(value, Scalar)]:
            return choice(scalars)
    kind = schema.get("type")
    if kind in ("integer", "number") and (bounds := _bounds(schema)):
        whole = kind == "integer"
        low, high = (math.ceil(bounds[0]), math.floor(bounds[1])) if whole else bounds
        return uniform(low, high)
    if isinstance(default := schema.get("default"), Scalar) and default is not None:
        return default
    if kind == "boolean":
        return choice([True, False])
    if kind == "integer":
        low = math.ceil(_low(schema, GUESSED_IDS[0]))
        return uniform(low, max(low, min(low + GUESSED_IDS[1] - 1, _high(schema, math.inf))))
    if kind == "number":
        return _low(schema, 1.0)
    return _text(schema)


def _examples(parameter: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Scalar]:
    found: list[Any] = []
    for place in (parameter, schema):
        several = place.get("examples")
        if isinstance(several, Mapping):
            found += [e.get("value") for e in several.values() if isinstance(e, Mapping)]
        elif isinstance(several, list):
            found += several
        found += [place["example"]] if "example" in place else []
    return [value for value in found if isinstance(value, Scalar) and value is not None]


def _low(schema: Mapping[str, Any], other: float) -> float:
    if "minimum" in schema:
        return float(schema["minimum"])
    step = 1 if schema.get("type") == "integer" else 1e-6
    return float(schema["exclusiveMinimum"]) + step if "exclusiveMinimum" in schema else other


def _high(schema: Mapping[str, Any], other: float) -> float:
    if "maximum" in schema:
        return float(schema["maximum"])
    step = 1 if schema.get("type") == "integer" else 1e-6
    return float(schema["exclusiveMaximum"]) - step if "exclusiveMaximum" in schema else other


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = _low(schema, math.nan), _high(schema, math.nan)
    return (low, high) if low <= high else None


def _text(schema: Mapping[str, Any]) -> Distribution | Scalar:
    """A text of the format that is asked for."""
    now, rng = datetime.now(UTC), random.Random(0)
    days = [now - timedelta(days=day) for day in range(28)]
    formats: dict[str, Callable[[], Distribution | Scalar]] = {
        "uuid": lambda: choice(
            [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in "12345"]
        ),
        "date": lambda: choice([day.date().isoformat() for day in days]),
        "date-time": lambda: choice([day.isoformat(timespec="seconds") for day in days]),
        "email": lambda: "somebody@example.com",
        "uri": lambda: "https://example.com/",
        "ipv4": lambda: "192.0.2.1",
        "time": lambda: "12:00:00",
        "duration": lambda: "PT1H",
    }
    if (form := schema.get("format")) in formats:
        return formats[str(form)]()
    if "pattern" in schema or schema.get("type") not in ("string", None):
        raise Unfillable
    length = int(max(schema.get("minLength", 1), min(4, schema.get("maxLength", 4))))
    return choice([letter * length for letter in "abcdefgh"])


def request_for(
    openapi: Mapping[str, Any], path: str, harvest: Harvest, headers: Mapping[str, str]
) -> Request:
    """The request for one path, with a value for each parameter that it needs.

    Parameters that may be left out are, unless examples, an enum or both bounds are given.

    Raises:
        Unfillable: a required parameter has no known value; the message is its name.
    """
    method = "get" if "get" in openapi["paths"][path] else "head"
    values: dict[str, Distribution | Scalar] = {}
    sent_headers: dict[str, Distribution | Scalar] = dict(headers)
    template, query = path.replace(":path}", "}"), []
    for parameter, schema in parameters_of(openapi, path, method):
        name, place = str(parameter.get("name")), parameter.get("in")
        required = bool(parameter.get("required")) or place == "path"
        if not required and not _worth_sending(parameter, schema):
            continue
        try:
            before = _collection(path.partition(f"{{{name}")[0]) if place == "path" else ""
            harvested = harvest.of(before, name, str(schema.get("type")))
            value = value_for(parameter, schema, harvested if required else ())
        except Unfillable:
            if required:
                raise Unfillable(name) from None
            continue
        key = re.sub(r"\W", "_", name)
        if place == "path":
            template = template.replace(f"{{{name}}}", f"{{{key}}}")
            values[key] = value
        elif place == "query":
            query.append(f"{name}={{{key}}}")
            values[key] = value
        elif place == "header" and name.lower() not in {each.lower() for each in headers}:
            sent_headers[name] = value
        elif required and place == "cookie" and "cookie" not in {h.lower() for h in headers}:
            raise Unfillable(f"the cookie {name}")
    template += f"?{'&'.join(query)}" if query else ""
    return Request(
        method.upper(),
        template,
        values=tuple(values.items()),
        headers=tuple(sent_headers.items()),
        expect_status=RIGHT,
    )


def _worth_sending(parameter: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    return bool(_examples(parameter, schema) or schema.get("enum") or _bounds(schema))


def discovered(
    openapi: Mapping[str, Any],
    generator: Generator,
    url: str,
    headers: Mapping[str, str],
    progress: Asked = lambda _, __: None,
    turns: Callable[[], bool] = lambda: False,
) -> Traffic:
    """Ask each GET route a few times; keep those that answer, with values found in answers.

    Args:
        turns: whether the app's loop turns; if it does, routes without an answer are slow, and
            the others are asked all the same.

    Raises:
        CannotExamine: there is none, or none of them answers.
    """
    paths = templates(openapi)
    if not paths:
        raise CannotExamine(_NO_ROUTE)
    harvest, silent, patience = Harvest(), 0, _ANSWER_SECONDS
    slow: set[str] = set()
    found: dict[str, Request] = {}
    problems: dict[str, str] = {}
    # those without placeholders first: they list what the others take
    waiting = sorted(paths, key=lambda path: path.count("{"))
    for wave in range(_WAVES):
        for number, path in enumerate(waiting):
            progress(f"trying GET {path}", (wave + number / len(waiting)) / _WAVES)
            try:
                request = request_for(openapi, path, harvest, headers)
                answers = _ask(generator, url, request, patience)
                silent = 0
            except Unfillable as missing:
                problems[path] = f"nothing is known about {missing}"
                continue
            except LoadError as error:
                problems[path] = _told(error)
                if isinstance(error, TimedOut):
                    silent += 1
                    slow.add(path)
                if silent >= _MOST_SILENT:
                    if not turns():
                        raise CannotExamine(_does_not_answer(problems)) from error
                    silent, patience = 0, min(patience, _LESS_SECONDS)
                continue
            for answer in answers:
                _gather(harvest, path, answer)
            if any(200 <= answer.status < 400 for answer in answers):
                found[path] = request
                problems.pop(path, None)
            else:
                problems[path] = _refused(answers)
        waiting = [p for p in waiting if "{" in p and p not in found and p not in slow]
        if not waiting:
            break
    if not found:
        raise CannotExamine(f"No GET route of it can be asked. {' '.join(_sentences(problems))}")
    # what later answers held goes into the earlier requests, too
    requests = [request_for(openapi, path, harvest, headers) for path in found]
    others = _others(openapi)
    return Traffic(tuple(requests), (*_sentences(problems), *others))


_NO_ROUTE = (
    "It has no GET route in its OpenAPI that could be asked. Name what to send: --get "
    '"/users/{id}" --values id=1..1000, --har FILE, --log FILE, or ROUTES beside the app.'
)


def _ask(generator: Generator, url: str, request: Request, seconds: float) -> list[Response]:
    target = generator.connect(url, request, prepared_requests=_SAMPLES, timeout_seconds=seconds)
    try:
        return list(generator.sample(target, _SAMPLES if request.varies else 1))
    finally:
        generator.disconnect(target)


def _gather(harvest: Harvest, path: str, answer: Response) -> None:
    if 200 <= answer.status < 300 and "json" in (answer.header("content-type") or ""):
        try:
            harvest.gather(path, answer.json())
        except (ValueError, RecursionError):
            return


def _told(error: LoadError) -> str:
    return str(error).partition(": ")[2].rstrip(".") or str(error)


def _refused(answers: Sequence[Response]) -> str:
    statuses = sorted({answer.status for answer in answers})
    told = " and ".join(map(str, statuses))
    if set(statuses) & {401, 403}:
        return f'it answers {told}; give a login with --header "Authorization: Bearer ..."'
    if set(statuses) == {404}:
        return "it answers 404 to every value that was tried; name them with --get and --values"
    return f"it answers {told}"


def _sentences(problems: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"GET {path} was not examined: {why}." for path, why in problems.items())


def _does_not_answer(problems: Mapping[str, str]) -> str:
    return (
        f"The app does not answer. {' '.join(_sentences(problems))} It may wait for something that "
        "is not there, or block its event loop for ever."
    )


def _others(openapi: Mapping[str, Any]) -> tuple[str, ...]:
    methods = [
        f"{method.upper()} {path}"
        for path, item in openapi["paths"].items()
        for method in ("post", "put", "patch", "delete")
        if method in item
    ]
    if not methods:
        return ()
    shown = ", ".join(methods[:4]) + (", ..." if len(methods) > 4 else "")
    return (
        f"Not sent: {shown} ({len(methods)} in all): nothing but GET and HEAD is, "
        'unless it is named: --get "POST /path".',
    )
