"""Saves, answers, and has letters delivered by worker threads; ``solution(...)`` shows it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException
from redis.asyncio import Redis

from course_app.apps.mail_order import AddressRefused, PostOffice, SoldOut, reserve
from course_app.exercises.background_tasks.baseline import WAREHOUSE, NewOrder

logger = logging.getLogger("shop")


def create_app(valkey_url: str) -> FastAPI:
    office = PostOffice(valkey_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.valkey = Redis.from_url(valkey_url, decode_responses=True)
        yield
        await app.state.valkey.aclose()

    app = FastAPI(lifespan=lifespan)

    # A def: FastAPI runs it in one of 40 worker threads, and a clean shutdown waits for it.
    def notify(order: int, address: str) -> None:
        try:
            office.deliver(order, address)
        except AddressRefused as error:
            logger.info("order %d: %s", order, error)

    @app.post("/orders", status_code=201)
    async def place_order(new: NewOrder, background: BackgroundTasks) -> dict[str, int]:
        try:
            await reserve(new.article)
        except SoldOut:
            raise HTTPException(409, "Sold out") from None
        order = await app.state.valkey.incr("orders")
        await app.state.valkey.hset(f"order {order}", mapping=new.model_dump())
        for address in (new.customer, WAREHOUSE):
            background.add_task(notify, order, address)
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
