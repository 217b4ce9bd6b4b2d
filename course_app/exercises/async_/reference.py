"""Awaits where it can, uses a worker thread where it cannot, computes in another process."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException

from course_app.apps.partner import fetch_price_async, load_session, render_invoice


def create_app() -> FastAPI:
    calls = asyncio.Semaphore(40)  # the partner takes 50 in all: two processes would share them

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as app.state.pool:
            list(app.state.pool.map(abs, range(2)))  # both start now, not with a first request
            yield

    app = FastAPI(lifespan=lifespan)

    def name_behind(token: str) -> str:
        return load_session(token)

    @app.get("/prices/{article}")
    async def price(article: int) -> dict[str, Any]:
        async with calls:
            found = await fetch_price_async(article)
        if found is None:
            raise HTTPException(404, "No such article")
        return {"article": article, "price": found}

    @app.get("/orders/{order}")
    async def read_order(order: int, name: Annotated[str, Depends(name_behind)]) -> dict[str, Any]:
        return {"order": order, "customer": name}

    @app.get("/invoices/{number}")
    async def invoice(number: int) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(app.state.pool, render_invoice, number)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"process": os.getpid()}

    return app
