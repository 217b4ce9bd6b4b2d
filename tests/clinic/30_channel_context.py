"""Each answer needs what is known of the guild, of the channel, of the member and of the thread.
Each of the four services says that it takes 10 ms. We take 40."""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import FastAPI

ROUTES = [{"method": "GET", "path": "/context/{channel}", "values": {"channel": [1, 9000]}}]

Source = Callable[[int], Awaitable[int]]


def source(factor: int) -> Source:
    """Stands for a service of its own, 10 ms away."""

    async def fetch(channel: int) -> int:
        await asyncio.sleep(0.010)
        return channel * factor % 1009

    return fetch


SOURCES = {
    name: source(factor)
    for name, factor in (("guild", 3), ("channel", 5), ("member", 7), ("thread", 11))
}


async def gathered(channel: int) -> dict[str, int]:
    values = await asyncio.gather(*[fetch(channel) for fetch in SOURCES.values()])
    return dict(zip(SOURCES, values, strict=True))


async def in_turn(channel: int) -> dict[str, int]:
    known = {}
    for name, fetch in SOURCES.items():
        known[name] = await fetch(channel)
    return known


def build(collect: Callable[[int], Awaitable[dict[str, int]]]) -> FastAPI:
    app = FastAPI()

    @app.get("/context/{channel}")
    async def context(channel: int) -> dict[str, int]:
        return await collect(channel)

    return app


def create_app() -> FastAPI:
    return build(in_turn)


def create_cured() -> FastAPI:
    """None needs what another one said: all are asked at once."""
    return build(gathered)
