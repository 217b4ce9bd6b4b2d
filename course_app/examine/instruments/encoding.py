"""Timers around what makes bytes of answers: FastAPI's serialization, ``json``, compression.

The second look beside the sampler's stacks: these count all of the time, not a sample of it.
"""

from __future__ import annotations

import functools
import json
import time
import types
import zlib
from typing import Any

import wrapt

from course_app.examine.instruments.visits import VISIT, route_of

#: By route: the last value that FastAPI was given to serialize.
values: dict[str, Any] = {}

#: So many statements in one block, and it is there to fetch.
_FETCHES = 5
_under_way: set[int] = set()


class Timed:
    """Adds the CPU time of a block to the current visit's work; nested blocks count once.

    A block that asks a database meanwhile (lazy loading) is fetching, not writing.
    """

    __slots__ = ("_asked", "_begin", "_kind", "_visit")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._visit = VISIT.get()
        if self._visit is not None and id(self._visit) in _under_way:
            self._visit = None

    def __enter__(self) -> None:
        if self._visit is not None:
            _under_way.add(id(self._visit))
            self._asked = len(self._visit.statements)
        self._begin = time.thread_time()

    def __exit__(self, *_: object) -> None:
        if self._visit is None:
            return
        _under_way.discard(id(self._visit))
        used = time.thread_time() - self._begin
        if len(self._visit.statements) >= self._asked + _FETCHES:
            return
        self._visit.work[self._kind] = self._visit.work.get(self._kind, 0.0) + used


def install() -> None:
    """Before the app is imported, so that its own ``from json import dumps`` is seen too."""
    json.dumps = _timed("serialize", json.dumps)
    zlib.compress = _timed("compress", zlib.compress)
    compressor = zlib.compressobj

    def compressobj(*args: Any, **options: Any) -> Any:
        return _Compressor(compressor(*args, **options))

    zlib.compressobj = compressobj
    wrapt.register_post_import_hook(_fastapi, "fastapi.routing")
    wrapt.register_post_import_hook(_encoder, "fastapi.encoders")
    wrapt.register_post_import_hook(_responses, "starlette.responses")
    wrapt.register_post_import_hook(_brotli, "brotli")


def _timed(kind: str, original: Any) -> Any:
    @functools.wraps(original)
    def timed(*args: Any, **options: Any) -> Any:
        with Timed(kind):
            return original(*args, **options)

    return timed


class _Compressor:
    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def compress(self, *args: Any) -> bytes:
        with Timed("compress"):
            return bytes(self._compressor.compress(*args))

    def flush(self, *args: Any) -> bytes:
        with Timed("compress"):
            return bytes(self._compressor.flush(*args))

    def copy(self) -> _Compressor:
        return _Compressor(self._compressor.copy())


def _fastapi(module: Any) -> None:
    original = module.serialize_response

    @functools.wraps(original)
    async def serialize_response(**options: Any) -> Any:
        visit = VISIT.get()
        if visit is not None and visit.scope is not None:
            values[route_of(visit.scope)] = options.get("response_content")
        with Timed("serialize"):
            return await original(**options)

    module.serialize_response = serialize_response


def _encoder(module: Any) -> None:
    # It calls itself by its name, for each value of an answer: those calls must stay as fast as
    # they were, so a twin calls itself, and the timer stands around the outermost call alone.
    original = module.jsonable_encoder
    names = {**vars(module)}
    twin = types.FunctionType(
        original.__code__, names, original.__name__, original.__defaults__, original.__closure__
    )
    twin.__kwdefaults__ = original.__kwdefaults__
    names["jsonable_encoder"] = twin
    module.jsonable_encoder = functools.wraps(original)(_timed("serialize", twin))


def _responses(module: Any) -> None:
    for name in ("JSONResponse",):
        owner = getattr(module, name)
        owner.render = _timed("serialize", owner.render)


def _brotli(module: Any) -> None:
    module.compress = _timed("compress", module.compress)


def alternatives(route: str) -> dict[str, Any]:
    """How long FastAPI's last value of a route takes to become JSON: by it, and by pydantic alone.

    Medians of seconds; empty where the route's answers are made by the app itself.
    """
    import statistics

    import pydantic_core
    from fastapi.encoders import jsonable_encoder

    if route not in values:
        return {}
    value = values[route]

    def median(function: Any) -> float | None:
        times = []
        end = time.perf_counter() + 0.25
        for _ in range(15):
            began = time.thread_time()
            try:
                function()
            except Exception:
                return None
            times.append(time.thread_time() - began)
            if time.perf_counter() > end:
                break
        return statistics.median(times)

    return {
        "encoder": median(lambda: json.dumps(jsonable_encoder(value)).encode()),
        "pydantic": median(lambda: pydantic_core.to_json(value)),
        "kind": type(value).__name__,
        "length": len(value) if isinstance(value, list | tuple | dict) else 1,
    }
