"""Plain `def` handlers: FastAPI's forty threads wait, and are the limit of calls, too."""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException

from course_app.apps.partner import fetch_price, load_session, render_invoice


def create_app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as app.state.pool:
            list(app.state.pool.map(abs, range(2)))
            yield

    app = FastAPI(lifespan=lifespan)

    def customer(token: str) -> str:
        return load_session(token)

    @app.get("/prices/{article}")
    def price(article: int) -> dict[str, Any]:
        found = fetch_price(article)
        if found is None:
            raise HTTPException(404, "No such article")
        return {"article": article, "price": found}

    @app.get("/orders/{order}")
    def read_order(order: int, name: Annotated[str, Depends(customer)]) -> dict[str, Any]:
        return {"order": order, "customer": name}

    @app.get("/invoices/{number}")
    def invoice(number: int) -> dict[str, Any]:
        return app.state.pool.submit(render_invoice, number).result()

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"process": os.getpid()}

    return app
