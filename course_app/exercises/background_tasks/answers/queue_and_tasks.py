"""A queue, and tasks that take letters from it; at the end the queue is waited for."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
from fastapi import FastAPI, HTTPException
from redis.asyncio import Redis

from course_app.apps.mail_order import AddressRefused, PostOffice, SoldOut, reserve
from course_app.exercises.background_tasks.baseline import WAREHOUSE, NewOrder

logger = logging.getLogger("shop")


def create_app(valkey_url: str) -> FastAPI:
    office = PostOffice(valkey_url)
    letters: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            order, address = await letters.get()
            try:
                await anyio.to_thread.run_sync(office.deliver, order, address)
            except AddressRefused as error:
                logger.info("order %d: %s", order, error)
            finally:
                letters.task_done()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.valkey = Redis.from_url(valkey_url, decode_responses=True)
        workers = [asyncio.create_task(deliver()) for _ in range(40)]
        yield
        await letters.join()
        for worker in workers:
            worker.cancel()
        await app.state.valkey.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders", status_code=201)
    async def place_order(new: NewOrder) -> dict[str, int]:
        try:
            await reserve(new.article)
        except SoldOut:
            raise HTTPException(409, "Sold out") from None
        order = await app.state.valkey.incr("orders")
        await app.state.valkey.hset(f"order {order}", mapping=new.model_dump())
        for address in (new.customer, WAREHOUSE):
            letters.put_nowait((order, address))
        return {"order": order}

    @app.get("/orders/{order}")
    async def read_order(order: int) -> dict[str, Any]:
        found: dict[str, Any] = await app.state.valkey.hgetall(f"order {order}")
        if not found:
            raise HTTPException(404, "No such order")
        return found

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return app
