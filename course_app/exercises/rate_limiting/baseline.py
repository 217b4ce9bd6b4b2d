"""The app that the learner starts from: a limiter that answers 500, in each worker's memory."""

import time
from collections import defaultdict
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

LIMIT, WINDOW_SECONDS = 20, 2.0
PRICES = {"TEA": 320, "RICE": 210, "SALT": 90, "SILK": 4_700}


def limited_in_memory() -> FastAPI:
    app = FastAPI()
    seen: dict[str, list[float]] = defaultdict(list)

    @app.middleware("http")
    async def rate_limit(request: Request, call_next: Any) -> Response:
        now, client = time.time(), request.headers.get("X-API-Key")
        if client is None:
            raise HTTPException(401, "No API key")
        seen[client] = [stamp for stamp in seen[client] if now - stamp < WINDOW_SECONDS]
        if len(seen[client]) >= LIMIT:
            raise HTTPException(429, "Too many requests")
        seen[client].append(now)
        response: Response = await call_next(request)
        return response

    @app.get("/prices")
    async def read_prices() -> dict[str, int]:
        return PRICES

    @app.get("/prices/{name}")
    async def read_price(name: str) -> dict[str, Any]:
        if name not in PRICES:
            raise HTTPException(404, "No such article")
        return {"name": name, "price": PRICES[name]}

    return app
