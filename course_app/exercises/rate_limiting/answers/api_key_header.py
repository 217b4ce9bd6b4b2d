"""FastAPI's own APIKeyHeader asks for the key; its 401 has another body than ours."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import redis.asyncio as redis
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import APIKeyHeader

LIMIT, WINDOW_SECONDS = 20, 2.0
PRICES = {"TEA": 320, "RICE": 210, "SALT": 90, "SILK": 4_700}

SCRIPT = """
local t = redis.call('TIME')
local now, limit, window = t[1] * 1000 + t[2] / 1000, tonumber(ARGV[1]), tonumber(ARGV[2])
local deciding = redis.call('LINDEX', KEYS[1], -limit)
if deciding and now - deciding < window then
    return math.ceil((deciding + window - now) / 1000)
end
redis.call('RPUSH', KEYS[1], now)
redis.call('LTRIM', KEYS[1], -limit, -1)
redis.call('PEXPIRE', KEYS[1], window)
return 0
"""


def create_app(valkey_url: str) -> FastAPI:
    valkey = redis.from_url(valkey_url)
    seconds_to_wait = valkey.register_script(SCRIPT)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await valkey.aclose()

    async def limited(key: Annotated[str, Security(APIKeyHeader(name="X-API-Key"))]) -> None:
        args = [LIMIT, math.ceil(WINDOW_SECONDS * 1000)]
        seconds = await seconds_to_wait([f"requests:{key}"], args)
        if seconds:
            raise HTTPException(429, "Slow down", {"Retry-After": str(seconds)})

    app = FastAPI(lifespan=lifespan, dependencies=[Depends(limited)])

    @app.get("/prices")
    async def read_prices() -> dict[str, int]:
        return PRICES

    @app.get("/prices/{name}")
    async def read_price(name: str) -> dict[str, Any]:
        if name not in PRICES:
            raise HTTPException(404, "No such article")
        return {"name": name, "price": PRICES[name]}

    return app
