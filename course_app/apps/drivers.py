"""Four ways to fetch users from PostgreSQL, all with the same door.

``DRIVERS[name](postgres_dsn, count)`` is an async context manager: it opens one connection,
hands out ``fetch``, and closes the connection. ``await fetch()`` returns the first ``count``
users as dictionaries. Two of the four block while they wait.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import psycopg
import psycopg2
from psycopg.rows import dict_row
from psycopg2.extras import RealDictCursor
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Rows = list[dict[str, Any]]
Fetch = Callable[[], Awaitable[Rows]]
Driver = Callable[[str, int], AbstractAsyncContextManager[Fetch]]


class _Base(DeclarativeBase):
    pass


class _User(_Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]


def _users(count: int) -> str:
    # One user by primary key: a plan for `<=` would be made anew for each call.
    return f"SELECT id, name, email FROM users WHERE id {'=' if count == 1 else '<='} "


@asynccontextmanager
async def by_asyncpg(postgres_dsn: str, count: int) -> AsyncIterator[Fetch]:
    """asyncpg, which waits with ``await``."""
    connection = await asyncpg.connect(postgres_dsn)

    async def fetch() -> Rows:
        return [dict(row) for row in await connection.fetch(_users(count) + "$1", count)]

    try:
        yield fetch
    finally:
        await connection.close()


@asynccontextmanager
async def by_psycopg(postgres_dsn: str, count: int) -> AsyncIterator[Fetch]:
    """psycopg 3, blocking."""
    with psycopg.connect(postgres_dsn, autocommit=True, row_factory=dict_row) as connection:

        async def fetch() -> Rows:
            return connection.execute(_users(count) + "%s", [count]).fetchall()

        yield fetch


@asynccontextmanager
async def by_psycopg2(postgres_dsn: str, count: int) -> AsyncIterator[Fetch]:
    """psycopg2, blocking."""
    connection = psycopg2.connect(postgres_dsn, cursor_factory=RealDictCursor)
    connection.autocommit = True

    async def fetch() -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(_users(count) + "%s", [count])
            return list(cursor.fetchall())

    try:
        yield fetch
    finally:
        connection.close()


@asynccontextmanager
async def by_orm(postgres_dsn: str, count: int) -> AsyncIterator[Fetch]:
    """SQLAlchemy's ORM above asyncpg, a session for each call."""
    address = postgres_dsn.replace("postgresql:", "postgresql+asyncpg:", 1)
    engine = create_async_engine(address, pool_size=1, max_overflow=0)
    wanted = _User.id == 1 if count == 1 else _User.id <= count

    async def fetch() -> Rows:
        async with AsyncSession(engine) as session:
            users = await session.scalars(select(_User).where(wanted))
            return [{"id": u.id, "name": u.name, "email": u.email} for u in users]

    try:
        yield fetch
    finally:
        await engine.dispose()


DRIVERS: Mapping[str, Driver] = {
    "asyncpg": by_asyncpg,
    "psycopg": by_psycopg,
    "psycopg2": by_psycopg2,
    "orm": by_orm,
}
