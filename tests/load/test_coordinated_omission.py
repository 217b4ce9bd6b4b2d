"""What the open model is for: a server that stalls, seen as users see it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from fastapi import FastAPI

from course_app.load import Generator
from course_app.serving import ThreadServer

STALL_SECONDS = 1.0
PERIOD_SECONDS = 5.0
RATE = 400
WINDOW_SECONDS = 2 * PERIOD_SECONDS


@pytest.fixture
def stalling_url() -> Iterator[str]:
    async def stall() -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS - STALL_SECONDS)
            time.sleep(STALL_SECONDS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stalling = asyncio.create_task(stall())
        yield
        stalling.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def answer() -> None:
        await asyncio.sleep(0.002)

    with ThreadServer(app) as server:
        yield server.url


def theoretical_p99_seconds() -> float:
    """One request in five arrives in a stall and waits evenly between 0 and 1 s for its end;
    1 % of all, that is 5 % of those, wait longer than 0.95 s; their backlog then takes some
    hundredths of a second to drain."""
    share_in_stall = STALL_SECONDS / PERIOD_SECONDS
    return STALL_SECONDS * (1 - 0.01 / share_in_stall) + 0.01


@pytest.mark.slow
def test_only_the_open_model_sees_what_users_of_a_stalling_server_wait(
    generator: Generator, stalling_url: str
) -> None:
    target = generator.connect(stalling_url, "/", concurrency=16)
    opened = generator.open(target, rate=RATE, seconds=WINDOW_SECONDS)
    closed = generator.closed(target, seconds=WINDOW_SECONDS)
    assert opened.error_count == closed.error_count == 0
    assert opened.completed == RATE * WINDOW_SECONDS
    assert opened.missed == 0
    assert 300 <= opened.max_backlog <= 500
    expected_ms = 1000 * theoretical_p99_seconds()
    assert opened.percentile(99) == pytest.approx(expected_ms, rel=0.1)
    assert np.percentile(opened.service_ms, 99) < 0.5 * expected_ms
    assert closed.percentile(99) < 0.5 * expected_ms
