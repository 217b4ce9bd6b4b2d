"""A small exercise with a database: a connection per request, and a pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, HTTPException

from course_app.grading import (
    Evidence,
    Exam,
    Exercise,
    Failure,
    WrongAnswer,
    contract,
    hygiene,
    mechanism,
    speed,
)
from course_app.load import get, mix, uniform

READS = mix(
    get("/users/{user_id}", user_id=uniform(1, 100_000), weight=9),
    get("/users/{user_id}", user_id=uniform(200_000, 900_000), expect_status=404),
)
QUERY = "SELECT id, name FROM users WHERE id = $1"


class OpensConnections(Failure):
    """Requests still open connections of their own."""

    hint = "Who could open connections before the first request comes?"


class OpensPools(Failure):
    """A pool is made for each request."""

    hint = "A pool pays off when it lives as long as the app."


class LeavesConnections(Failure):
    """Connections are left open after the shutdown."""

    hint = "Whoever opens a pool closes it."


@contract(points=3)
def same_users(exam: Exam) -> Evidence:
    """Every answer is as before, also for users who do not exist."""
    return exam.same_answers(READS)


@mechanism(points=3)
def no_sessions(exam: Exam) -> Evidence:
    """No request opens a connection to PostgreSQL."""
    sessions = exam.count(exam.learner, READS)["PostgreSQL sessions"]
    observed, wanted = f"{sessions:.2f} sessions a request", "none"
    if sessions > 1.5:
        raise OpensPools(observed, wanted)
    if sessions > 0.05:
        raise OpensConnections(observed, wanted)
    return Evidence(observed, wanted, {"sessions_per_request": sessions})


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain, 8 requests at a time."""
    return exam.speed(READS, concurrency=8)


@hygiene(points=2)
def closes(exam: Exam) -> Evidence:
    """No connection is left after the shutdown."""
    exam.ask(exam.learner, READS)
    left = exam.learner.connections_left_by_stop()
    if left:
        raise LeavesConnections(f"{left} connections", "none")
    return Evidence("none", "none")


def users(connect: object) -> FastAPI:
    """An app whose handler gets its connection from ``connect``."""
    app = FastAPI()

    @app.get("/users/{user_id}")
    async def user(user_id: int) -> dict[str, object]:
        async with connect() as connection:  # type: ignore[operator]
            row = await connection.fetchrow(QUERY, user_id)
        if row is None:
            raise HTTPException(404, "no such user")
        return dict(row)

    return app


def create_baseline(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def connect() -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(postgres_dsn)
        try:
            yield connection
        finally:
            await connection.close()

    return users(connect)


def create_reference(postgres_dsn: str, closing: bool = True) -> FastAPI:
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        pools.append(await asyncpg.create_pool(postgres_dsn, min_size=4, max_size=8))
        yield
        if closing:
            await pools[-1].close()

    app = users(lambda: pools[-1].acquire())
    app.router.lifespan_context = lifespan
    return app


def create_many_pools(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def connect() -> AsyncIterator[asyncpg.Connection]:
        async with (
            asyncpg.create_pool(postgres_dsn, min_size=2, max_size=2) as pool,
            pool.acquire() as connection,
        ):
            yield connection

    return users(connect)


def create_leaking(postgres_dsn: str) -> FastAPI:
    return create_reference(postgres_dsn, closing=False)


exercise = Exercise(
    slug="99_users",
    title="Connect once, not for each request",
    baseline=create_baseline,
    reference=create_reference,
    rubric=(same_users, no_sessions, faster, closes),
    hints=("Count the connections.", "Look at the lifespan."),
    wrong_answers=(
        WrongAnswer("as it was", create_baseline, OpensConnections),
        WrongAnswer("a pool for each request", create_many_pools, OpensPools),
        WrongAnswer("never closed", create_leaking, LeavesConnections),
    ),
)
