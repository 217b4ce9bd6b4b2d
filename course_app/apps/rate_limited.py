"""One service whose doors limit in different ways, for any number of workers.

``/memory`` keeps stamps in the process; ``/valkey`` (a sliding window), ``/fixed`` (a window that
begins anew) and ``/bucket`` (a token bucket) count in Valkey; ``/raises`` refuses every request, by
raising in a middleware. Settings come from the environment: ``RATE_LIMIT`` requests in
``RATE_WINDOW_SECONDS``, ``RATE_BURST`` tokens, and ``RATE_VALKEY_URL``.
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
SLIDING_WINDOW = """
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

#: One counter for each client, which expires at the next whole multiple of the window.
FIXED_WINDOW = """
local seconds, micros = unpack(redis.call('TIME'))
local now, limit, window = seconds * 1e6 + micros, tonumber(ARGV[1]), tonumber(ARGV[2])
local left = window - now % window
if tonumber(redis.call('GET', KEYS[1]) or 0) >= limit then
    return left
end
redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], math.ceil(left / 1000))
return 0
"""

#: A bucket of ARGV[3] tokens that fills at the limit's rate. Instead of tokens it keeps one number,
#: the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371).
TOKEN_BUCKET = """
local seconds, micros = unpack(redis.call('TIME'))
local now, token = seconds * 1e6 + micros, tonumber(ARGV[2]) / tonumber(ARGV[1])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + token
local wait = full - now - token * tonumber(ARGV[3])
if wait > 0 then
    return math.ceil(wait)
end
redis.call('SET', KEYS[1], full, 'PX', math.ceil((full - now) / 1000))
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


def in_valkey(
    valkey: redis.Redis,
    limit: int,
    window_seconds: float,
    script: str = SLIDING_WINDOW,
    burst: int = 1,
    prefix: str = "rate",
) -> Limiter:
    """Counts in Valkey, in one round trip: by one of the scripts above."""
    run = valkey.register_script(script)
    arguments = [limit, int(window_seconds * 1e6), burst]

    async def wait_seconds(client: str) -> float:
        return int(await run([f"{prefix}:{client}"], arguments)) / 1e6

    return wait_seconds


def create_app(
    valkey_url: str, limit: int, window_seconds: float, burst: int | None = None
) -> FastAPI:
    """The service with a door for each limiter.

    Args:
        burst: tokens of the bucket; by default the limit.
    """
    valkey = redis.Redis.from_url(valkey_url)

    def counted(script: str, prefix: str) -> Limiter:
        return in_valkey(valkey, limit, window_seconds, script, burst or limit, prefix)

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
    @app.get("/valkey", dependencies=[Depends(limited(counted(SLIDING_WINDOW, "rate")))])
    @app.get("/fixed", dependencies=[Depends(limited(counted(FIXED_WINDOW, "fixed")))])
    @app.get("/bucket", dependencies=[Depends(limited(counted(TOKEN_BUCKET, "bucket")))])
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
    limit = int(os.environ.get("RATE_LIMIT", "60"))
    limited = create_app(
        os.environ["RATE_VALKEY_URL"],
        limit,
        float(os.environ.get("RATE_WINDOW_SECONDS", "60")),
        int(os.environ.get("RATE_BURST", limit)),
    )
    refusing = raising()

    async def doors(scope: Any, receive: Any, send: Any) -> None:
        app = refusing if scope.get("path") == "/raises" else limited
        await app(scope, receive, send)

    return doors
