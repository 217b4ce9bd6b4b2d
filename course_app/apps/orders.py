"""Orders that are confirmed after the answer: by the server itself, or by the worker of a queue.

The server does it as a background task on the loop (``/orders``) or in a thread (``/threads``), or
as a task of the loop that belongs to no response (``/loose``).

Settings come from the environment, as in a deployment: ``VALKEY_URL``.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis
from anyio import to_thread
from arq import create_pool
from arq.connections import RedisSettings
from fastapi import BackgroundTasks, FastAPI
from redis.asyncio import Redis

VALKEY_URL = os.environ.get("VALKEY_URL", "redis://127.0.0.1:6379")
SETTINGS = RedisSettings.from_dsn(VALKEY_URL)
blocking_valkey = redis.Redis.from_url(VALKEY_URL)


async def confirm(valkey: Redis, order: int) -> None:
    await asyncio.sleep(0.4)  # the mail server takes its time
    await valkey.hincrby("confirmations", str(order), 1)
    await asyncio.sleep(0.2)  # and so does the archive


def confirm_in_thread(order: int) -> None:
    time.sleep(0.4)
    blocking_valkey.hincrby("confirmations", str(order), 1)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.queue = await create_pool(SETTINGS)
    to_thread.current_default_thread_limiter().total_tokens = 5  # so that a few orders queue
    yield
    await app.state.queue.aclose()


by_the_server = FastAPI(lifespan=lifespan)
by_a_worker = FastAPI(lifespan=lifespan)
loose: set[asyncio.Task[None]] = set()


@by_the_server.post("/orders/{order}", status_code=202)
async def order_and_background_task(order: int, background: BackgroundTasks) -> None:
    background.add_task(confirm, by_the_server.state.queue, order)


@by_the_server.post("/threads/{order}", status_code=202)
async def order_and_blocking_task(order: int, background: BackgroundTasks) -> None:
    background.add_task(confirm_in_thread, order)


@by_the_server.post("/loose/{order}", status_code=202)
async def order_and_loose_task(order: int) -> None:
    task = asyncio.create_task(confirm(by_the_server.state.queue, order))
    loose.add(task)  # the loop itself keeps no hold of its tasks
    task.add_done_callback(loose.discard)


@by_a_worker.post("/orders/{order}", status_code=202)
async def order_and_job(order: int) -> None:
    await by_a_worker.state.queue.enqueue_job("confirm_job", order)


async def confirm_job(context: dict[str, Any], order: int) -> None:
    await confirm(context["redis"], order)


async def print_invoice_job(_context: dict[str, Any], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


class WorkerSettings:
    functions = (confirm_job, print_invoice_job)
    redis_settings = SETTINGS
    max_jobs = 10
    job_timeout = 1
    poll_delay = 0.02
