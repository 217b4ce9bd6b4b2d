"""The parts of the corrected blog, each the answer to one fault; a lesson shows them one by one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

Load = Callable[[], Awaitable[bytes]]


class ServerTiming:
    """Times requests in pure ASGI: no task, no queue, and errors pass through."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def timed(message: Any) -> None:
            if message["type"] == "http.response.start":
                duration = f"app;dur={(time.perf_counter() - began) * 1e3:.3f}"
                message["headers"].append((b"server-timing", duration.encode()))
            await send(message)

        await self.app(scope, receive, timed)


class SingleFlight:
    """Of many who miss the same entry at the same time, one loads it; the others wait for that."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Future[bytes]] = {}

    async def run(self, key: str, load: Load) -> bytes:
        """What ``load`` gives, called once for all who ask meanwhile."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.ensure_future(load())
            flight.add_done_callback(lambda _: self._flights.pop(key))
            # One caller that is cancelled (by a time-out, or at shutdown) must not cancel the load.
        return await asyncio.shield(flight)
