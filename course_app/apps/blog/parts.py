"""The parts of the corrected blog, each the answer to one fault; a lesson shows them one by one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio as redis

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
        # One client who hangs up must not take the answer away from the others.
        return await asyncio.shield(flight)


class Reads:
    """Reads from Valkey, one command each."""

    def __init__(self, cache: redis.Redis) -> None:
        self._cache = cache

    async def get(self, *keys: str) -> list[bytes | None]:
        """The values of some keys, None for those that are not there."""
        values: list[Any] = (
            [await self._cache.get(keys[0])] if len(keys) == 1 else await self._cache.mget(keys)
        )
        return values


class BatchedReads(Reads):
    """All who read while an answer is under way share the next command, as in a ferry."""

    def __init__(self, cache: redis.Redis) -> None:
        super().__init__(cache)
        self._waiting: list[tuple[str, asyncio.Future[bytes | None]]] = []
        self._ferry: asyncio.Task[None] | None = None

    async def get(self, *keys: str) -> list[bytes | None]:
        loop = asyncio.get_running_loop()
        wanted = [loop.create_future() for _ in keys]
        self._waiting += zip(keys, wanted, strict=True)
        if self._ferry is None:
            self._ferry = loop.create_task(self._run())
        return [await value for value in wanted]

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            values: list[Any]
            try:
                values = await self._cache.mget([key for key, _ in batch])
            except Exception as error:
                values = [error] * len(batch)
            for (_, future), value in zip(batch, values, strict=True):
                settle(future, value)
        self._ferry = None


def settle(future: asyncio.Future[Any], value: Any) -> None:
    """Give a waiting request its value or its error, unless its client has gone."""
    if future.done():
        return
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
