"""A counter in our service must not be changed by two requests at a time, so we protected it. Alone
a ticket takes 8 ms. With twenty people at the counter each of them waits twenty times as long."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI

ROUTES = [{"method": "GET", "path": "/tickets/{office}", "values": {"office": [1, 40]}}]


async def ask_office(office: int) -> int:
    """Stands for the office's own service: 8 ms away."""
    await asyncio.sleep(0.008)
    return office % 5


def create_app() -> FastAPI:
    app = FastAPI()
    app.state.tickets = 0
    counter = asyncio.Semaphore(1)

    async def alone() -> AsyncIterator[None]:
        async with counter:
            yield

    @app.get("/tickets/{office}", dependencies=[Depends(alone)])
    async def ticket(office: int) -> dict[str, int]:
        line = await ask_office(office)
        app.state.tickets += 1
        return {"office": office, "line": line}

    return app


def create_cured() -> FastAPI:
    """Only the counter is protected; the other service is asked before."""
    app = FastAPI()
    app.state.tickets = 0
    counter = asyncio.Semaphore(1)

    @app.get("/tickets/{office}")
    async def ticket(office: int) -> dict[str, int]:
        line = await ask_office(office)
        async with counter:
            app.state.tickets += 1
        return {"office": office, "line": line}

    return app
