# %% [markdown]
# # Exercise 11 - One limit, whatever the number of workers
#
# A price service lets each client, known by its API key, ask 20 times in 2 seconds. So says its
# documentation. Its code is the limiter that you know from the lesson: who comes too often gets
# 500, who sends no key as well, and since the service runs on three workers, clients get through
# three times as often as they should.
#
# Make it right. You find everything that you need in
# [the lesson](../notebooks/11_rate_limiting.ipynb).

# %%
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


# %% [markdown]
# See what its clients get before you change it.

# %%
from collections import Counter

from course_app.lab import Lab, get

lab = Lab()
one_client = get("/prices", headers={"X-API-Key": "me"}, expect_status=(200, 500))
answers = lab.replay(limited_in_memory(), one_client, requests=30, name="as it is").answers
Counter(answer.status for answer in answers)

# %% [markdown]
# ## When is it done?
#
# - **Contract** (7 points). Never more than 20 requests of one key pass within *any* 2 seconds,
#   over all paths together; only those that pass count. That holds for a crowd of requests at
#   once, and for three workers. Who is refused gets 429 with `Retry-After`: the time that is
#   left in whole seconds, rounded up. Other keys go on as before, and no key is a 401, at once.
# - **Mechanism** (2 points). All that is known of clients is in Valkey: it outlives a restart, and
#   is gone when its keys are deleted. Each request asks Valkey once: one round trip, on a
#   connection that is open already.
# - **Hygiene** (1 point). Every key expires soon after its window.
#
# Write `create_app`. The check calls it with the address of an empty Valkey, once for each worker.


# %%
# blank:
def create_app(valkey_url: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import redis.asyncio as redis
from fastapi import Depends, Header


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
    valkey = redis.Redis.from_url(valkey_url)
    micros_to_wait = valkey.register_script(script)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await valkey.aclose()

    async def rate_limit(x_api_key: Annotated[str | None, Header()] = None) -> None:
        if x_api_key is None:
            raise HTTPException(401, "No API key")
        micros = await micros_to_wait([f"rate:{x_api_key}"], [LIMIT, int(WINDOW_SECONDS * 1e6)])
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


# end solution
# %%
from course_app.learn import check

check("11_rate_limiting", create_app)

# %% [markdown]
# Stuck? Write `hint("11_rate_limiting")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("11_rate_limiting")` shows our answer.
