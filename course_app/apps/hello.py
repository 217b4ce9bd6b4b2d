"""The smallest apps, for tests and for measuring servers; `broken` fails when it starts."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

#: How long `/sleep` waits: a short query's time.
SLEEP_SECONDS = 0.002

app = FastAPI()


@app.get("/hello")
async def hello() -> dict[str, str]:
    """Answer at once: what is left is the cost of the server and the framework."""
    return {"hello": "world"}


@app.get("/sleep")
async def sleep() -> dict[str, str]:
    """Wait as for a short query, without work."""
    await asyncio.sleep(SLEEP_SECONDS)
    return {"slept": "well"}


@app.get("/pid")
async def pid() -> dict[str, int]:
    """Which process answers."""
    return {"pid": os.getpid()}


@asynccontextmanager
async def _needs_a_setting(_app: FastAPI) -> AsyncIterator[None]:
    os.environ["COURSE_SETTING_THAT_NOBODY_MAKES"]
    yield


broken = FastAPI(lifespan=_needs_a_setting)
