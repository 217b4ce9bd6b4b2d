"""Known wrong answers, each a small change to a good one, as learners make them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse

from course_app.exercises.connection_pooling import rubric
from course_app.exercises.connection_pooling.baseline import connect_per_request
from course_app.exercises.connection_pooling.right_answers import ANSWERS
from course_app.grading import Changed, WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain, WrongUnderLoad

Connect = Callable[[], AbstractAsyncContextManager[Any]]
USER = "SELECT id, name, email FROM users WHERE id = $1"
POST = "SELECT id, title, author_id FROM posts WHERE id = $1"
AUTHOR = "SELECT name FROM users WHERE id = $1"


def _app(connect: Connect, lifespan: Any = None, user: str = USER) -> FastAPI:
    """The same handlers for all; ``connect`` is where they get their connection from."""
    app = FastAPI(lifespan=lifespan)

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> dict[str, Any]:
        async with connect() as conn:
            row = await conn.fetchrow(user, user_id)
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int) -> dict[str, Any]:
        async with connect() as conn:
            row = await conn.fetchrow(POST, post_id)
            if row is None:
                raise HTTPException(404, "No such post")
            author = await conn.fetchrow(user, row["author_id"])
        return {"id": row["id"], "title": row["title"], "author": author["name"]}

    return app


def _pooled(
    postgres_dsn: str, *, wait_seconds: float | None = 1, user: str = USER, **options: Any
) -> FastAPI:
    """A pool in the lifespan, and one thing about it that is wrong."""
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            postgres_dsn, **{"min_size": 10, "max_size": 10, **options}
        ) as pool:
            pools.append(pool)
            yield

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with _busy_is_503(), pools[-1].acquire(timeout=wait_seconds) as conn:
            yield conn

    return _app(connect, lifespan, user)


@asynccontextmanager
async def _busy_is_503() -> AsyncIterator[None]:
    try:
        yield
    except TimeoutError:
        raise HTTPException(503, "Busy, try again") from None


def pool_per_request(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with (
            asyncpg.create_pool(postgres_dsn, min_size=2, max_size=5) as pool,
            pool.acquire() as conn,
        ):
            yield conn

    return _app(connect)


def one_connection_for_all(postgres_dsn: str, lock: Any = None) -> FastAPI:
    shared: list[Any] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        shared.append(await asyncpg.connect(postgres_dsn))
        yield
        await shared[-1].close()

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with lock or nullcontext():
            yield shared[-1]

    return _app(connect, lifespan)


def one_connection_behind_a_lock(postgres_dsn: str) -> FastAPI:
    return one_connection_for_all(postgres_dsn, asyncio.Lock())


def pool_behind_a_lock(postgres_dsn: str) -> FastAPI:
    app, lock = _pooled(postgres_dsn), asyncio.Lock()

    @app.middleware("http")
    async def in_turn(request: Any, call_next: Any) -> Any:
        async with lock:
            return await call_next(request)

    return app


def huge_pool(postgres_dsn: str) -> FastAPI:
    return _pooled(postgres_dsn, max_size=50)


def lazy_pool(postgres_dsn: str) -> FastAPI:
    """Right when requests come one by one; the first crowd makes many pools."""
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        pools.clear()
        yield
        for pool in pools:
            await pool.close()

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        if not pools:
            pool = await asyncpg.create_pool(postgres_dsn, min_size=1, max_size=10)
            pools.append(pool)
        async with _busy_is_503(), pools[-1].acquire(timeout=1) as conn:
            yield conn

    return _app(connect, lifespan)


def sessions_of_one_query(postgres_dsn: str) -> FastAPI:
    return _pooled(postgres_dsn, max_queries=1)


def one_connection_held_while_taking_another(postgres_dsn: str) -> FastAPI:
    app = FastAPI()
    state: dict[str, asyncpg.Pool] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=10, max_size=10) as state["pool"]:
            yield

    app = FastAPI(lifespan=lifespan)

    async def name_of(user_id: int) -> Any:
        async with state["pool"].acquire(timeout=1) as conn:
            return await conn.fetchval(AUTHOR, user_id)

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> dict[str, Any]:
        async with _busy_is_503(), state["pool"].acquire(timeout=1) as conn:
            row = await conn.fetchrow(USER, user_id)
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int) -> dict[str, Any]:
        async with _busy_is_503(), state["pool"].acquire(timeout=1) as conn:
            row = await conn.fetchrow(POST, post_id)
            if row is None:
                raise HTTPException(404, "No such post")
            author = await name_of(row["author_id"])
        return {"id": row["id"], "title": row["title"], "author": author}

    return app


def hardly_waits(postgres_dsn: str) -> FastAPI:
    return _pooled(postgres_dsn, wait_seconds=0.02)


def waits_for_ever(postgres_dsn: str) -> FastAPI:
    return _pooled(postgres_dsn, wait_seconds=None)


def told_late(postgres_dsn: str) -> FastAPI:
    return _pooled(postgres_dsn, wait_seconds=1.7)


def few_are_told(postgres_dsn: str) -> FastAPI:
    """Who waits before the pool is not told."""
    app, places = _pooled(postgres_dsn), asyncio.Semaphore(15)

    @app.middleware("http")
    async def in_turn(request: Any, call_next: Any) -> Any:
        async with places:
            return await call_next(request)

    return app


def busy_is_an_error(postgres_dsn: str) -> FastAPI:
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=10, max_size=10) as pool:
            pools.append(pool)
            yield

    return _app(lambda: pools[-1].acquire(timeout=1), lifespan)


def never_closed(postgres_dsn: str) -> FastAPI:
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        pools.append(await asyncpg.create_pool(postgres_dsn, min_size=10, max_size=10))
        yield

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with _busy_is_503(), pools[-1].acquire(timeout=1) as conn:
            yield conn

    return _app(connect, lifespan)


def index_not_used(postgres_dsn: str) -> FastAPI:
    """Pooled and right, but the index finds sixty thousand rows, and each of them is looked at."""
    return _pooled(
        postgres_dsn,
        user="SELECT id, name, email FROM users "
        "WHERE id::text = $1::int::text AND id BETWEEN $1 - 60000 AND $1",
    )


def read_once_at_the_start(postgres_dsn: str) -> FastAPI:
    """No session, no statement, and very fast."""
    users: dict[int, dict[str, Any]] = {}
    posts: dict[int, dict[str, Any]] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        conn = await asyncpg.connect(postgres_dsn)
        for row in await conn.fetch("SELECT id, name, email FROM users"):
            users[row["id"]] = dict(row)
        for row in await conn.fetch("SELECT id, title, author_id FROM posts"):
            author = users[row["author_id"]]["name"]
            posts[row["id"]] = {"id": row["id"], "title": row["title"], "author": author}
        await conn.close()
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> dict[str, Any]:
        if user_id not in users:
            raise HTTPException(404, "No such user")
        return users[user_id]

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int) -> dict[str, Any]:
        if post_id not in posts:
            raise HTTPException(404, "No such post")
        return posts[post_id]

    return app


def missing_users_are_null(postgres_dsn: str) -> FastAPI:
    app = _pooled(postgres_dsn)

    @app.exception_handler(404)
    async def null(_request: Any, _error: Any) -> JSONResponse:
        return JSONResponse(None)

    return app


def checker_replaced(postgres_dsn: str) -> FastAPI:
    """Nothing was done, but for the one who counts."""
    from course_app.grading import bench, exam, running, scorecard

    exam.Exam.count = lambda *_, **__: {"PostgreSQL sessions": 0.0}  # type: ignore
    bench.Bench.probes = lambda *_, **__: []  # type: ignore
    running.Runner.run = lambda *_, **__: []  # type: ignore
    scorecard.Scorecard.passed = True  # type: ignore
    return connect_per_request(postgres_dsn)


_GIVES_BACK = """        try:
            yield conn
        finally:
            await app.state.pool.release(conn)
"""

_FACTORY = "    app = FastAPI()\n"
_KEEPING = f"{_FACTORY}    kept: dict[int, Any] = {{}}\n"
_NAME = 'author = await conn.fetchval("SELECT name FROM users WHERE id = $1", row["author_id"])'
_POST = 'row = await conn.fetchrow("SELECT id, title, author_id FROM posts WHERE id = $1", post_id)'

WRONG_ANSWERS = (
    WrongAnswer("as it was", connect_per_request, rubric.OpensConnections, points=0),
    WrongAnswer("the checker replaced", checker_replaced, rubric.OpensConnections),
    WrongAnswer("a session for each query", sessions_of_one_query, rubric.OpensConnections),
    WrongAnswer("a pool for each request", pool_per_request, rubric.OpensPools),
    WrongAnswer("one connection for all", one_connection_for_all, WrongUnderLoad),
    WrongAnswer("one connection and a lock", one_connection_behind_a_lock, rubric.OneAtATime),
    WrongAnswer("a pool behind a lock", pool_behind_a_lock, rubric.OneAtATime),
    WrongAnswer("a huge pool", huge_pool, rubric.TooManyConnections),
    WrongAnswer("a pool made by the first request", lazy_pool, rubric.TooManyConnections),
    WrongAnswer(
        "two connections at once", one_connection_held_while_taking_another, rubric.Deadlocks
    ),
    WrongAnswer("right but slow", index_not_used, TooLittleGain),
    WrongAnswer("hardly waits", hardly_waits, rubric.RefusesTooSoon),
    WrongAnswer("waits for ever", waits_for_ever, rubric.WaitsTooLong),
    WrongAnswer("told after 1.7 seconds", told_late, rubric.WaitsTooLong),
    WrongAnswer("hardly anybody is told", few_are_told, rubric.WaitsTooLong),
    WrongAnswer("a full pool is a 500", busy_is_an_error, rubric.FailsWhenBusy),
    WrongAnswer("never closed", never_closed, rubric.LeavesConnections),
    WrongAnswer("answers read at the start", read_once_at_the_start, rubric.StaleAnswer),
    WrongAnswer(
        "posts kept",
        Changed(
            ANSWERS / "pool_made_in_the_factory.py",
            [
                (_FACTORY, _KEEPING),
                (_POST, _POST.replace("=", "= kept[post_id] = kept.get(post_id) or", 1)),
            ],
        ),
        rubric.StaleAnswer,
    ),
    WrongAnswer(
        "authors' names kept",
        Changed(
            ANSWERS / "pool_made_in_the_factory.py",
            [
                (_FACTORY, _KEEPING),
                (_NAME, _NAME.replace("=", "= kept[row[2]] = kept.get(row[2]) or", 1)),
            ],
        ),
        rubric.StaleAnswer,
    ),
    WrongAnswer("null instead of 404", missing_users_are_null, DifferentAnswer),
    WrongAnswer(
        "connections made anew after a hundred queries",
        Changed(
            ANSWERS / "pool_made_in_the_factory.py",
            [("max_inactive_connection_lifetime=0", "max_queries=100")],
        ),
        rubric.OpensConnections,
    ),
    WrongAnswer(
        "a connection kept after a 404",
        Changed(
            ANSWERS / "pool_made_in_the_factory.py",
            [(_GIVES_BACK, "        yield conn\n        await app.state.pool.release(conn)\n")],
        ),
        rubric.KeepsConnections,
    ),
    WrongAnswer(
        "a time limit around the query",
        ANSWERS / "wrong_timeout_around_the_query.py",
        rubric.RefusesThoseInside,
    ),
)
