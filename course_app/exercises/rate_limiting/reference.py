"""A good answer; ``solution(...)`` shows its source."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import redis.asyncio as redis
from fastapi import Depends, FastAPI, Header, HTTPException

from course_app.exercises.rate_limiting.baseline import LIMIT, PRICES, WINDOW_SECONDS


def create_app(valkey_url: str) -> FastAPI:
    # The newest stamp comes first: at index LIMIT - 1 is the request that has to grow old.
    script = """
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
    # In a crowd who finds no connection waits for one: an error would let the rest pass.
    pool = redis.BlockingConnectionPool.from_url(
        valkey_url, max_connections=20, socket_timeout=0.5, socket_connect_timeout=0.5
    )
    valkey = redis.Redis.from_pool(pool)
    micros_to_wait = valkey.register_script(script)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await valkey.aclose()

    async def rate_limit(x_api_key: Annotated[str | None, Header()] = None) -> None:
        if x_api_key is None:
            raise HTTPException(401, "No API key")
        try:
            micros = await micros_to_wait([f"rate:{x_api_key}"], [LIMIT, int(WINDOW_SECONDS * 1e6)])
        except (redis.ConnectionError, redis.TimeoutError):
            return  # nobody can tell, and prices are no secret: let everybody pass
        if micros > 0:
            seconds = math.ceil(micros / 1e6)
            raise HTTPException(429, "Too many requests", {"Retry-After": str(seconds)})

    app = FastAPI(lifespan=lifespan, dependencies=[Depends(rate_limit)])

    @app.get("/prices")
    async def read_prices() -> dict[str, int]:
        return PRICES

    @app.get("/prices/{name}")
    async def read_price(name: str) -> dict[str, Any]:
        if name not in PRICES:
            raise HTTPException(404, "No such article")
        return {"name": name, "price": PRICES[name]}

    return app
