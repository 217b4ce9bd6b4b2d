"""The shop that the learner starts from: right, and slow."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field
from redis.asyncio import Redis

from course_app.apps.mail_order import AddressRefused, PostOffice, SoldOut, reserve

WAREHOUSE = "warehouse@shop.example"
logger = logging.getLogger("shop")


class NewOrder(BaseModel):
    customer: str = Field(pattern=".@.")
    article: str = Field(min_length=1)


def shop_that_waits(valkey_url: str) -> FastAPI:
    office = PostOffice(valkey_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.valkey = Redis.from_url(valkey_url, decode_responses=True)
        yield
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
            try:
                office.deliver(order, address)
            except AddressRefused as error:
                logger.info("order %d: %s", order, error)
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
