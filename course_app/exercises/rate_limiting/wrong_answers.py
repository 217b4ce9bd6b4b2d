"""Known wrong answers, each a small change to a good one, as learners make them."""

import math
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Request
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from course_app.exercises.rate_limiting import rubric
from course_app.exercises.rate_limiting.baseline import (
    LIMIT,
    PRICES,
    WINDOW_SECONDS,
    limited_in_memory,
)
from course_app.exercises.rate_limiting.right_answers import ANSWERS
from course_app.grading import Changed, WrongAnswer

#: How long the client of a request has to wait, in seconds; 0 or less if not at all.
Wait = Callable[[Request], Awaitable[float]]

SLIDING = """
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
FOR_EVER = SLIDING.replace("redis.call('PEXPIRE', KEYS[1], window / 1000)", "")
FIXED = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then
    redis.call('PEXPIRE', KEYS[1], ARGV[2] / 1000)
end
return count > tonumber(ARGV[1]) and redis.call('PTTL', KEYS[1]) * 1000 or 0
"""
#: Refused requests are counted too, as "add, then look how many there are" does.
KNOCKING_COUNTS = """
local seconds, micros = unpack(redis.call('TIME'))
local now = seconds * 1e6 + micros
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[1], now, now)
redis.call('PEXPIRE', KEYS[1], ARGV[2] / 1000)
if redis.call('ZCARD', KEYS[1]) <= tonumber(ARGV[1]) then return 0 end
local oldest = redis.call('ZRANGE', KEYS[1], -(ARGV[1] + 1), -(ARGV[1] + 1), 'WITHSCORES')
return oldest[2] + ARGV[2] - now
"""


def _service(
    wait: Wait,
    close: Callable[[], Awaitable[None]] | None = None,
    headers: Callable[[float], dict[str, str]] | None = None,
    needs_key: bool = True,
) -> FastAPI:
    """The same handlers for all; ``wait`` is the limiter."""
    told = headers or (lambda seconds: {"Retry-After": str(math.ceil(seconds))})

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        if close is not None:
            await close()

    app = FastAPI(lifespan=lifespan)

    @app.middleware("http")
    async def rate_limit(request: Request, call_next: Any) -> Any:
        from fastapi.responses import JSONResponse

        if needs_key and "X-API-Key" not in request.headers:
            return JSONResponse({"detail": "No API key"}, 401)
        seconds = await wait(request)
        if seconds > 0:
            return JSONResponse({"detail": "Too many requests"}, 429, told(seconds))
        return await call_next(request)

    @app.get("/prices")
    async def read_prices() -> dict[str, int]:
        return PRICES

    @app.get("/prices/{name}")
    async def read_price(name: str) -> dict[str, Any]:
        if name not in PRICES:
            raise HTTPException(404, "No such article")
        return {"name": name, "price": PRICES[name]}

    return app


def _key(request: Request) -> str:
    return f"rate:{request.headers.get('X-API-Key')}"


def _scripted(
    valkey_url: str,
    script: str = SLIDING,
    key: Callable[[Request], str] = _key,
    limit: int = LIMIT,
    **options: Any,
) -> FastAPI:
    """One script in Valkey, and one thing about it that is wrong."""
    valkey = redis.Redis.from_url(valkey_url)
    run = valkey.register_script(script)

    async def wait(request: Request) -> float:
        return int(await run([key(request)], [limit, int(WINDOW_SECONDS * 1e6)])) / 1e6

    return _service(wait, valkey.aclose, **options)


def says_nothing(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, headers=lambda _: {})


def always_says_the_window(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, headers=lambda _: {"Retry-After": str(int(WINDOW_SECONDS))})


def always_says_a_second(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, headers=lambda _: {"Retry-After": "1"})


def one_too_few(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, limit=LIMIT - 1)


def a_limit_for_each_path(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, key=lambda request: f"{_key(request)}:{request.url.path}")


def one_limit_for_all(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, key=lambda _: "rate")


def one_limit_for_an_address(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, key=lambda request: request.client.host if request.client else "")


def no_key_needed(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, needs_key=False)


def fixed_window(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, FIXED)


def knocking_counts(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, KNOCKING_COUNTS)


def never_expires(valkey_url: str) -> FastAPI:
    return _scripted(valkey_url, FOR_EVER)


def right_in_memory(valkey_url: str) -> FastAPI:  # noqa: ARG001
    """Right in every way, for a single worker."""
    seen: dict[str, list[float]] = defaultdict(list)

    async def wait(request: Request) -> float:
        now = time.monotonic()
        stamps = [stamp for stamp in seen[_key(request)] if now - stamp < WINDOW_SECONDS]
        seen[_key(request)] = stamps
        if len(stamps) >= LIMIT:
            return stamps[0] + WINDOW_SECONDS - now
        stamps.append(now)
        return 0.0

    return _service(wait)


def looks_then_adds(valkey_url: str) -> FastAPI:
    """Two steps, between which other requests are served."""
    valkey = redis.Redis.from_url(valkey_url)

    async def wait(request: Request) -> float:
        key, now = _key(request), time.time()
        await valkey.zremrangebyscore(key, "-inf", now - WINDOW_SECONDS)
        if await valkey.zcard(key) >= LIMIT:
            oldest: Any = await valkey.zrange(key, 0, 0, withscores=True)
            return float(oldest[0][1]) + WINDOW_SECONDS - now
        await valkey.zadd(key, {uuid.uuid4().hex: now})
        await valkey.pexpire(key, int(WINDOW_SECONDS * 1e3))
        return 0.0

    return _service(wait, valkey.aclose)


def remembers_the_refused(valkey_url: str) -> FastAPI:
    """Who has to wait is not looked up again: fast, and nobody can take it back."""
    valkey = redis.Redis.from_url(valkey_url)
    run = valkey.register_script(SLIDING)
    until: dict[str, float] = defaultdict(float)

    async def wait(request: Request) -> float:
        key, now = _key(request), time.monotonic()
        if until[key] > now:
            return until[key] - now
        seconds = int(await run([key], [LIMIT, int(WINDOW_SECONDS * 1e6)])) / 1e6
        until[key] = now + seconds
        return seconds

    return _service(wait, valkey.aclose)


def library_asked_twice(valkey_url: str) -> FastAPI:
    """The library's window is right; how long to wait is a second question."""
    storage: Any = RedisStorage(f"async+{valkey_url}", implementation="redispy")
    window = MovingWindowRateLimiter(storage)
    limit = RateLimitItemPerSecond(LIMIT, int(WINDOW_SECONDS))

    async def wait(request: Request) -> float:
        if await window.hit(limit, _key(request)):
            return 0.0
        stats = await window.get_window_stats(limit, _key(request))
        # Asked a moment later: nothing may be left to wait, and it stays refused.
        return max(float(stats.reset_time - time.time()), 0.001)

    return _service(wait, storage.bridge.get_connection().aclose)


def connection_per_request(valkey_url: str) -> FastAPI:
    async def wait(request: Request) -> float:
        async with redis.Redis.from_url(valkey_url) as valkey:
            arguments = [LIMIT, int(WINDOW_SECONDS * 1e6)]
            return int(await valkey.eval(SLIDING, 1, _key(request), *arguments)) / 1e6

    return _service(wait)


WRONG_ANSWERS = (
    WrongAnswer("as it was", limited_in_memory, rubric.NotA429),
    WrongAnswer("says nothing about when", says_nothing, rubric.NoRetryAfter),
    WrongAnswer("one request too few", one_too_few, rubric.RefusesTooMany),
    WrongAnswer("a limit for each path", a_limit_for_each_path, rubric.PassesTooMany),
    WrongAnswer("one limit for all clients", one_limit_for_all, rubric.OthersRefused),
    WrongAnswer("one limit for an address", one_limit_for_an_address, rubric.OthersRefused),
    WrongAnswer("nobody needs a key", no_key_needed, rubric.NotA401),
    WrongAnswer("always says the window", always_says_the_window, rubric.FalseRetryAfter),
    WrongAnswer("always says a second", always_says_a_second, rubric.FalseRetryAfter),
    WrongAnswer("looks, then adds", looks_then_adds, rubric.CrowdSlipsThrough),
    WrongAnswer("right, but in memory", right_in_memory, rubric.CountsPerWorker),
    WrongAnswer("a fixed window", fixed_window, rubric.WindowsMeet),
    WrongAnswer("knocking counts", knocking_counts, rubric.RefusesTooMany),
    WrongAnswer("remembers who is refused", remembers_the_refused, rubric.StateInProcess),
    WrongAnswer("the library, asked twice", library_asked_twice, rubric.SeveralRoundTrips),
    WrongAnswer("a connection for each request", connection_per_request, rubric.ConnectsPerRequest),
    WrongAnswer("keys stay", never_expires, rubric.KeysStay),
    WrongAnswer(
        "entries of the same name",
        Changed(ANSWERS / "sorted_set.py", [("uuid.uuid4().hex", "client")]),
        rubric.PassesTooMany,
    ),
    WrongAnswer(
        "Retry-After from the newest request",
        Changed(ANSWERS / "sorted_set.py", [("KEYS[1], 0, 0", "KEYS[1], -1, -1")]),
        rubric.FalseRetryAfter,
    ),
)
