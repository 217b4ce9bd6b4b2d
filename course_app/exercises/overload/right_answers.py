"""Other right answers: each knows in another way when the wait is too long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

from course_app.exercises.overload.baseline import seal_of
from course_app.grading import RightAnswer

#: Lets a request in, or raises HTTPException; left when it has been answered.
Guard = Callable[[], Any]


def guarded(guard: Guard) -> FastAPI:
    """The given app, with a guard around the work alone."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/vouchers/{number}")
    async def read_voucher(number: int) -> dict[str, Any]:
        if number < 1:
            raise HTTPException(404, "No such voucher")
        async with guard():
            return {"number": number, "seal": seal_of(number)}

    return app


def busy() -> HTTPException:
    return HTTPException(503, "Busy", {"Retry-After": "2"})


def create_with_deadlines() -> FastAPI:
    """Nobody's turn comes too late: who has waited too long is refused when it would come.

    As CoDel does for packets (Nichols and Jacobson, "Controlling queue delay", 2012); the line is
    bounded, too, or it would hold those who have gone.
    """
    turn, waiting = asyncio.Lock(), 0

    @asynccontextmanager
    async def in_time() -> AsyncIterator[None]:
        nonlocal waiting
        if waiting > 50:
            raise busy()
        came = time.monotonic()
        waiting += 1
        try:
            async with turn:
                await asyncio.sleep(0)
                if time.monotonic() - came > 0.04:
                    raise busy()
                yield
        finally:
            waiting -= 1

    return guarded(in_time)


def create_with_adaptive_limit() -> FastAPI:
    """A limit on requests in flight that follows how long they take: one more after each that was
    quick, a tenth less after each that was not (additive increase, multiplicative decrease)."""
    turn, in_flight, limit = asyncio.Lock(), 0, 5.0

    @asynccontextmanager
    async def within_limit() -> AsyncIterator[None]:
        nonlocal in_flight, limit
        if in_flight >= limit:
            raise busy()
        came = time.monotonic()
        in_flight += 1
        try:
            async with turn:
                await asyncio.sleep(0)
                yield
        finally:
            in_flight -= 1
        quick = time.monotonic() - came < 0.04
        limit = min(limit + 1 / limit, 50.0) if quick else max(5.0, 0.9 * limit)

    return guarded(within_limit)


def create_with_estimate() -> FastAPI:
    """Who would wait too long, by how many are in front and how long one has taken of late."""
    turn, in_flight, usual_seconds = asyncio.Lock(), 0, 0.003

    @asynccontextmanager
    async def soon() -> AsyncIterator[None]:
        nonlocal in_flight, usual_seconds
        if in_flight * usual_seconds > 0.04:
            raise busy()
        in_flight += 1
        try:
            async with turn:
                await asyncio.sleep(0)
                begin = time.monotonic()
                yield
                usual_seconds += 0.1 * (time.monotonic() - begin - usual_seconds)
        finally:
            in_flight -= 1

    return guarded(soon)


RIGHT_ANSWERS = (
    RightAnswer("deadlines in the line", create_with_deadlines),
    RightAnswer("a limit that adapts", create_with_adaptive_limit),
    RightAnswer("the wait, estimated", create_with_estimate),
)
