"""One service with three doors, for any number of workers.

``/memory`` and ``/valkey`` count the requests of each client address there; ``/raises`` refuses
every request, by raising in a middleware. Settings come from the environment: ``RATE_LIMIT``
requests in ``RATE_WINDOW_SECONDS``, and ``RATE_VALKEY_URL``.
"""

import math
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from fastapi import Depends, FastAPI, HTTPException, Request

#: Says how long a client has to wait; 0 lets it pass and counts it.
Limiter = Callable[[str], Awaitable[float]]

#: ``LINDEX`` finds the request that was let through ``limit`` requests ago, if there was one: a
#: window holds at most ``limit`` of them, so no more has to be kept or looked at. Scripts run
#: one at a time, and Valkey's clock is the same for all workers.
SCRIPT = """
local seconds, micros = unpack(redis.call('TIME'))
local now, limit, window = seconds * 1e6 + micros, tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], limit - 1)
if oldest and oldest + window > now then
    return oldest + window - now
end
redis.call('LPUSH', KEYS[1], now)
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('PEXPIRE', KEYS[1], window / 1000)
return 0
"""


def in_memory(limit: int, window_seconds: float) -> Limiter:
    """Stamps in this process: another worker has others."""
    seen: dict[str, deque[float]] = {}

    async def wait_seconds(client: str) -> float:
        now, stamps = time.monotonic(), seen.setdefault(client, deque(maxlen=limit))
        if len(stamps) == limit and (left := stamps[0] + window_seconds - now) > 0:
            return left
        stamps.append(now)
        return 0.0

    return wait_seconds


def in_valkey(valkey: redis.Redis, limit: int, window_seconds: float) -> Limiter:
    """Stamps in Valkey, in one round trip."""
    script = valkey.register_script(SCRIPT)

    async def wait_seconds(client: str) -> float:
        micros = await script([f"rate:{client}"], [limit, int(window_seconds * 1e6)])
        return int(micros) / 1e6

    return wait_seconds


def create_app(valkey_url: str, limit: int, window_seconds: float) -> FastAPI:
    """The service with a door for each limiter."""
    valkey = redis.Redis.from_url(valkey_url)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await valkey.aclose()

    app = FastAPI(lifespan=lifespan)

    def limited(limiter: Limiter) -> Callable[[Request], Awaitable[None]]:
        async def check(request: Request) -> None:
            wait = await limiter(request.client.host if request.client else "")
            if wait > 0:
                headers = {"Retry-After": str(math.ceil(wait))}
                raise HTTPException(429, "Too many requests", headers)

        return check

    @app.get("/memory", dependencies=[Depends(limited(in_memory(limit, window_seconds)))])
    @app.get("/valkey", dependencies=[Depends(limited(in_valkey(valkey, limit, window_seconds)))])
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    return app


def raising() -> FastAPI:
    """A limiter at its limit that raises where nobody makes an answer of it: clients get 500."""
    app = FastAPI()

    @app.middleware("http")
    async def refuse(_request: Request, _call_next: Any) -> Any:
        raise HTTPException(429, "Too many requests")

    return app


def from_environment() -> Callable[..., Awaitable[None]]:
    """What ``uvicorn --factory`` calls in each worker."""
    limited = create_app(
        os.environ["RATE_VALKEY_URL"],
        int(os.environ.get("RATE_LIMIT", "60")),
        float(os.environ.get("RATE_WINDOW_SECONDS", "60")),
    )
    refusing = raising()

    async def doors(scope: Any, receive: Any, send: Any) -> None:
        app = refusing if scope.get("path") == "/raises" else limited
        await app(scope, receive, send)

    return doors
