"""What middleware costs: the same request through the app with and without it, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import wrapt

from course_app.examine.instruments.visits import place_of_user

#: Where each middleware was added, by the identity of its description.
_added: dict[int, Any] = {}

_WARM_UP = 5
_LEAST_ROUNDS = 12
_MOST_ROUNDS = 150


def install() -> None:
    """Note where middleware is added, from before the app is made."""
    wrapt.register_post_import_hook(_applications, "starlette.applications")


def _applications(module: Any) -> None:
    original = module.Starlette.add_middleware

    def add_middleware(self: Any, *args: Any, **options: Any) -> Any:
        result = original(self, *args, **options)
        _added[id(self.user_middleware[0])] = place_of_user(sys._getframe(1))
        return result

    module.Starlette.add_middleware = add_middleware


async def compare(
    app: Any, scope: MutableMapping[str, Any] | None, status: int, seconds: float
) -> dict[str, Any]:
    """CPU of one request, in microseconds: whole, without any layer, without each one.

    Only a GET without a body is asked again, and compared only if it has its ``status`` again. A
    layer that the route cannot do without (the status changes) is not told. Pairs of one round
    each: ``whole`` and ``bare`` have the same shape.
    """
    starlette = _starlette(app)
    if starlette is None or not starlette.user_middleware:
        return {"layers": []}
    if scope is None or scope["method"] != "GET":
        return {"skipped": "only GET routes are asked again"}
    layers = list(starlette.user_middleware)
    stacks = {"whole": _stack(starlette, layers), "bare": _stack(starlette, [])}
    for number in range(len(layers)) if len(layers) > 1 else ():
        left = [each for i, each in enumerate(layers) if i != number]
        stacks[f"without {number}"] = _stack(starlette, left)
    statuses: dict[str, int] = {}
    for name, stack in stacks.items():
        for _ in range(_WARM_UP):
            statuses[name], _cpu = await _once(starlette, stack, scope)
    if statuses["whole"] != status:
        again = statuses["whole"]
        return {"skipped": f"asked again it answers with status {again} instead of {status}"}
    usable = {n: s for n, s in stacks.items() if statuses[n] == statuses["whole"]}
    cpu: dict[str, list[float]] = {name: [] for name in usable}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(cpu["whole"]) < _LEAST_ROUNDS:
        for name, stack in usable.items():
            cpu[name].append((await _once(starlette, stack, scope))[1])
        if len(cpu["whole"]) >= _MOST_ROUNDS:
            break
    return {
        "cpu_us": cpu,
        "layers": [_described(layer) for layer in layers],
        "refused": [name for name in stacks if name not in usable],
    }


def _starlette(app: Any) -> Any:
    """The application inside of whatever wraps it."""
    seen = 0
    while app is not None and seen < 20:
        if hasattr(app, "build_middleware_stack") and hasattr(app, "user_middleware"):
            return app
        app, seen = getattr(app, "app", None), seen + 1
    return None


def _stack(starlette: Any, layers: list[Any]) -> Any:
    kept = starlette.user_middleware
    try:
        starlette.user_middleware = layers
        return starlette.build_middleware_stack()
    finally:
        starlette.user_middleware = kept


async def _once(
    starlette: Any, stack: Callable[..., Awaitable[None]], scope: MutableMapping[str, Any]
) -> tuple[int, float]:
    status = 0
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:  # the client stays; whoever looks whether it leaves must not turn in a circle
            await asyncio.get_running_loop().create_future()
        sent = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    asked = {**scope, "app": starlette, "state": dict(scope["state"]), "extensions": {}}
    began = time.thread_time()
    with contextlib.suppress(Exception):
        await stack(asked, receive, send)
    return status, 1e6 * (time.thread_time() - began)


def _described(layer: Any) -> dict[str, Any]:
    name = getattr(layer.cls, "__name__", str(layer.cls))
    dispatch = layer.kwargs.get("dispatch")
    code = getattr(dispatch, "__code__", None)
    if code is None:
        for method in ("dispatch", "__call__"):
            function = getattr(layer.cls, method, None)
            code = getattr(function, "__code__", None)
            from course_app.examine.instruments.code import users

            if code is not None and users(code):
                break
            code = None
    added = _added.get(id(layer))
    line = code.co_firstlineno if code is not None else added[1] if added else 0
    file = code.co_filename if code is not None else added[0].co_filename if added else ""
    function = code.co_name if code is not None else added[0].co_name if added else ""
    return {
        "name": dispatch.__name__ if dispatch is not None else name,
        "base": any(c.__name__ == "BaseHTTPMiddleware" for c in getattr(layer.cls, "__mro__", ())),
        "file": file,
        "line": line,
        "function": function,
    }
