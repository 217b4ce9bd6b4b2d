"""Everything by run_in_executor: threads of its own for the two that wait, processes for one."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from typing import Any

from fastapi import FastAPI, HTTPException

from course_app.apps.partner import fetch_price, load_session, render_invoice


def create_app() -> FastAPI:
    processes = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    threads = {name: ThreadPoolExecutor(40, name) for name in ("prices", "sessions")}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        list(processes.map(abs, range(2)))
        yield
        for pool in (processes, *threads.values()):
            pool.shutdown()

    app = FastAPI(lifespan=lifespan)

    async def run(pool: Any, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *args)

    @app.get("/prices/{article}")
    async def price(article: int) -> dict[str, Any]:
        found = await run(threads["prices"], fetch_price, article)
        if found is None:
            raise HTTPException(404, "No such article")
        return {"article": article, "price": found}

    @app.get("/orders/{order}")
    async def read_order(order: int, token: str) -> dict[str, Any]:
        return {"order": order, "customer": await run(threads["sessions"], load_session, token)}

    @app.get("/invoices/{number}")
    async def invoice(number: int) -> dict[str, Any]:
        return await run(processes, render_invoice, number)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"process": os.getpid()}

    return app
