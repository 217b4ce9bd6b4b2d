"""A sorted set of the last requests, in one script."""

import math
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

LIMIT, WINDOW_SECONDS = 20, 2.0
PRICES = {"TEA": 320, "RICE": 210, "SALT": 90, "SILK": 4_700}


def add_routes(app: FastAPI) -> None:
    @app.get("/prices")
    async def read_prices() -> dict[str, int]:
        return PRICES

    @app.get("/prices/{name}")
    async def read_price(name: str) -> dict[str, Any]:
        if name not in PRICES:
            raise HTTPException(404, "No such article")
        return {"name": name, "price": PRICES[name]}


SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local window, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local n = redis.call('ZCARD', KEYS[1])
if n < limit then
    redis.call('ZADD', KEYS[1], now, ARGV[3])
    redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
    return 0
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return tonumber(oldest[2]) + window - now
"""


def create_app(valkey_url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.valkey = redis.from_url(valkey_url)
        app.state.sha = await app.state.valkey.script_load(SCRIPT)
        yield
        await app.state.valkey.aclose()

    app = FastAPI(lifespan=lifespan)
    add_routes(app)

    async def wait_for(client: str) -> float:
        """Seconds that the client has to wait; 0 if it may pass."""
        micros = await app.state.valkey.evalsha(
            app.state.sha, 1, f"limit:{client}", int(WINDOW_SECONDS * 1e6), LIMIT, uuid.uuid4().hex
        )
        return int(micros) / 1e6

    @app.middleware("http")
    async def rate_limit(request: Request, call_next: Any) -> Response:
        client = request.headers.get("X-API-Key")
        if client is None:
            return JSONResponse({"detail": "No API key"}, 401)
        wait = await wait_for(client)
        if wait > 0:
            return JSONResponse(
                {"detail": "Too many requests"}, 429, headers={"Retry-After": str(math.ceil(wait))}
            )
        return await call_next(request)

    return app
