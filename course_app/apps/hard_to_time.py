"""A test bench for stopwatches: an app whose endpoints are hard to time, each in its own way."""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Path
from fastapi.responses import StreamingResponse

#: How many lines ``/streams/{ms}`` sends.
LINES = 5
_STEP_BACK_SECONDS = 60
# Longer than any middleware needs to read the clock after its handler has returned.
_STEP_LASTS_SECONDS = 0.05

Milliseconds = Annotated[int, Path(ge=0, le=1000)]


def hard_to_time() -> FastAPI:
    """The app, without a stopwatch. ``app.state.timings`` is where one puts what it finds."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.greeting = "world"
        yield

    app = FastAPI(lifespan=lifespan)
    app.state.timings = deque(maxlen=100)

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        """Answers at once."""
        return {"hello": app.state.greeting}

    @app.get("/naps/{ms}")
    async def nap(ms: Milliseconds) -> dict[str, int]:
        """Waits for so many milliseconds."""
        await asyncio.sleep(ms / 1e3)
        return {"ms": ms}

    @app.get("/nap")
    async def some_nap() -> dict[str, int]:
        """Waits for a time that nobody knows before."""
        return await nap(random.randint(30, 80))

    @app.get("/streams/{ms}")
    async def stream(ms: Milliseconds) -> StreamingResponse:
        """Sends five lines, with a pause before each."""

        async def lines() -> AsyncIterator[str]:
            for number in range(LINES):
                await asyncio.sleep(ms / 1e3)
                yield f"line {number}\n"

        return StreamingResponse(lines(), media_type="text/plain")

    @app.get("/error")
    async def error(reason: str = "a bug") -> None:
        """Fails."""
        raise RuntimeError(reason)

    @app.get("/clock")
    async def clock() -> dict[str, str]:
        """Sets the wall clock back by a minute, as a time server does, for a moment."""
        wall_clock = time.time
        time.time = lambda: wall_clock() - _STEP_BACK_SECONDS
        restore = lambda: setattr(time, "time", wall_clock)  # noqa: E731
        asyncio.get_running_loop().call_later(_STEP_LASTS_SECONDS, restore)
        return {"clock": "set"}

    @app.get("/tasks")
    async def tasks() -> dict[str, int]:
        """How many asyncio tasks there are while this is answered."""
        return {"tasks": len(asyncio.all_tasks())}

    @app.get("/timings")
    async def timings() -> list[dict[str, Any]]:
        """What the stopwatch has found."""
        return list(app.state.timings)

    return app
