"""Tempting answers that must fail, each in its own way."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from multiprocessing import get_context
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool

from course_app.apps.partner import fetch_price, fetch_price_async, load_session, render_invoice

Price = Callable[[int], Awaitable[float | None]]
Session = Callable[..., Any]


def _processes() -> Executor:
    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    list(pool.map(abs, range(2)))
    return pool


async def _price_in_thread(article: int) -> float | None:
    return await run_in_threadpool(fetch_price, article)


def _session_in_thread(token: str) -> str:
    return load_session(token)


async def _session_on_the_loop(token: str) -> str:
    return load_session(token)


def _shop(
    price: Price = _price_in_thread,
    session: Session = _session_in_thread,
    workers: Callable[[], Executor] = _processes,
    closing: bool = True,
    missing: int = 404,
    compute: Callable[[int], dict[str, object]] = render_invoice,
) -> FastAPI:
    """The shop, right in everything but what is given."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.workers = workers()
        yield
        if closing:
            app.state.workers.shutdown()

    app = FastAPI(lifespan=lifespan)

    @app.get("/prices/{article}")
    async def read_price(article: int) -> dict[str, object]:
        found = await price(article)
        if found is None:
            raise HTTPException(missing, "No such article")
        return {"article": article, "price": found}

    @app.get("/orders/{order}")
    async def read_order(order: int, name: Annotated[str, Depends(session)]) -> dict[str, object]:
        return {"order": order, "customer": name}

    @app.get("/invoices/{number}")
    async def invoice(number: int) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(app.state.workers, compute, number)
        return dict(made)

    @app.get("/health")
    async def health() -> dict[str, int]:
        return {"process": os.getpid()}

    return app


def create_forgotten_dependency() -> FastAPI:
    """The handlers are repaired, what runs before them is not."""
    return _shop(session=_session_on_the_loop)


def create_computing_threads() -> FastAPI:
    """Invoices in worker threads: the loop is free to wait for the interpreter's lock."""
    return _shop(workers=lambda: ThreadPoolExecutor(4))


def create_computing_threads_by_another_name() -> FastAPI:
    """The same, but each thread says that it is a process: one that lives, and is not its own."""

    def compute(number: int) -> dict[str, object]:
        return {**render_invoice(number), "process": os.getppid()}

    return _shop(workers=lambda: ThreadPoolExecutor(4), compute=compute)


def create_single_thread() -> FastAPI:
    """One thread for all calls: the loop is free, and everybody queues."""
    thread = ThreadPoolExecutor(1)

    async def price(article: int) -> float | None:
        return await asyncio.get_running_loop().run_in_executor(thread, fetch_price, article)

    return _shop(price=price)


def create_boundless() -> FastAPI:
    """Awaits as many calls as there are clients."""
    return _shop(price=fetch_price_async)


def create_leaving() -> FastAPI:
    """Never ends the processes that it starts."""
    return _shop(closing=False)


def create_remembering() -> FastAPI:
    """Knows the prices by heart: no request asks the partner."""
    from course_app.apps.partner import _price

    async def price(article: int) -> float | None:
        return _price(article)

    return _shop(price=price)


def create_keeping_prices() -> FastAPI:
    """Asks the partner once for each article."""
    kept: dict[int, float | None] = {}

    async def price(article: int) -> float | None:
        if article not in kept:
            kept[article] = await _price_in_thread(article)
        return kept[article]

    return _shop(price=price)


def create_keeping_sessions() -> FastAPI:
    """Looks each token up once, in worker threads."""
    return _shop(session=cache(load_session))


def create_other_status() -> FastAPI:
    """Fast, but an article that does not exist is an error of the server now."""
    return _shop(missing=503)
