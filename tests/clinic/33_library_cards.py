"""The desk reads a member and the books that he has on loan; both queries use an index and take
0.1 ms, says EXPLAIN. A page takes much longer, and beyond some hundred readers PostgreSQL uses more
CPU than ever, although pg_stat_statements knows of nothing expensive. Is SQLAlchemy that slow?"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

ROUTES = [
    {"method": "GET", "path": "/members/{member}", "values": {"member": [1, 20000]}},
    {"method": "GET", "path": "/members/{member}/loans", "values": {"member": [1, 20000]}},
]

SET_UP = (
    "SELECT pg_advisory_xact_lock(70103)",
    "CREATE TABLE IF NOT EXISTS library_members (id int PRIMARY KEY, name text, since int)",
    "CREATE TABLE IF NOT EXISTS library_loans "
    "(member_id int, book int, PRIMARY KEY (member_id, book))",
    "INSERT INTO library_members SELECT n, 'Member ' || n, 1980 + n % 40 "
    "FROM generate_series(1, 20000) n WHERE NOT EXISTS (SELECT 1 FROM library_members)",
    "INSERT INTO library_loans SELECT n % 20000 + 1, n FROM generate_series(1, 80000) n "
    "WHERE NOT EXISTS (SELECT 1 FROM library_loans)",
    "ANALYZE library_members, library_loans",
)
MEMBER = text("SELECT id, name, since FROM library_members WHERE id = :member")
LOANS = text("SELECT book FROM library_loans WHERE member_id = :member ORDER BY book")

Sessions = Callable[[], AsyncIterator[AsyncSession]]


def desk(sessions: Sessions) -> APIRouter:
    router = APIRouter(prefix="/members")

    @router.get("/{member}")
    async def card(member: int, db: Annotated[AsyncSession, Depends(sessions)]) -> dict[str, Any]:
        row = (await db.execute(MEMBER, {"member": member})).mappings().first()
        if row is None:
            raise HTTPException(404, "No such member")
        return dict(row)

    @router.get("/{member}/loans")
    async def loans(member: int, db: Annotated[AsyncSession, Depends(sessions)]) -> list[int]:
        return list((await db.execute(LOANS, {"member": member})).scalars())

    return router


def _build(engine: AsyncEngine, sessions: Sessions) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            for statement in SET_UP:
                await connection.execute(text(statement))
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.include_router(desk(sessions))
    return app


def create_app(postgres_dsn: str) -> FastAPI:
    url = make_url(postgres_dsn).set(drivername="postgresql+asyncpg")

    async def unit_of_work() -> AsyncIterator[AsyncSession]:
        engine = create_async_engine(url, poolclass=NullPool)
        async with AsyncSession(engine) as session:
            yield session

    return _build(create_async_engine(url, poolclass=NullPool), unit_of_work)


def create_cured(postgres_dsn: str) -> FastAPI:
    """One engine with a pool for the whole life of the app."""
    url = make_url(postgres_dsn).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, pool_size=32, max_overflow=0)

    async def unit_of_work() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session

    return _build(engine, unit_of_work)
