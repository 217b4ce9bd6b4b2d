"""`asyncio.to_thread` for each letter, and the lifespan waits for all that are under way."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from redis.asyncio import Redis

from course_app.apps.mail_order import AddressRefused, PostOffice, SoldOut, reserve
from course_app.exercises.background_tasks.baseline import WAREHOUSE, NewOrder

logger = logging.getLogger("shop")


def create_app(valkey_url: str) -> FastAPI:
    office = PostOffice(valkey_url)
    letters: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # What asyncio makes by itself where there are two cores.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(6))
        app.state.valkey = Redis.from_url(valkey_url, decode_responses=True)
        yield
        await asyncio.gather(*letters)
        await app.state.valkey.aclose()

    app = FastAPI(lifespan=lifespan)

    def notify(order: int, address: str) -> None:
        try:
            office.deliver(order, address)
        except AddressRefused as error:
            logger.info("order %d: %s", order, error)

    @app.post("/orders", status_code=201)
    async def place_order(new: NewOrder) -> dict[str, int]:
        try:
            await reserve(new.article)
        except SoldOut:
            raise HTTPException(409, "Sold out") from None
        order = await app.state.valkey.incr("orders")
        await app.state.valkey.hset(f"order {order}", mapping=new.model_dump())
        for address in (new.customer, WAREHOUSE):
            letters.add(task := asyncio.create_task(asyncio.to_thread(notify, order, address)))
            task.add_done_callback(letters.discard)
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
