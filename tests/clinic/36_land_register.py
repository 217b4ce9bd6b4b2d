"""One parcel by its number, the simplest query there is. We have just changed from psycopg2 to the
asynchronous psycopg 3 because it should be faster. EXPLAIN ANALYZE says 0.03 ms, yet a page takes
many times that, and the provider wants to sell us a bigger database because its CPU is busy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
from fastapi import FastAPI, HTTPException
from psycopg.rows import class_row
from pydantic import BaseModel

ROUTES = [{"method": "GET", "path": "/parcels/{parcel}", "values": {"parcel": [1, 40000]}}]


class Parcel(BaseModel):
    id: int
    owner: str
    square_metres: int


PARCEL = "SELECT id, owner, square_metres FROM land_parcels WHERE id = %s"
TABLE = """CREATE TABLE IF NOT EXISTS land_parcels
    (id int PRIMARY KEY, owner text NOT NULL, square_metres int NOT NULL)"""
FILL = """INSERT INTO land_parcels SELECT n, 'Owner ' || n * 7 % 9001, 200 + n * 13 % 4800
    FROM generate_series(1, 40000) n WHERE NOT EXISTS (SELECT FROM land_parcels)"""


async def set_up(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as db:
        await db.execute("SELECT pg_advisory_xact_lock(730003)")
        for statement in (TABLE, FILL, "ANALYZE land_parcels"):
            await db.execute(statement)


async def find(db: psycopg.AsyncConnection, parcel: int) -> Parcel:
    async with db.cursor(row_factory=class_row(Parcel)) as cursor:
        await cursor.execute(PARCEL, (parcel,))
        found = await cursor.fetchone()
    if found is None:
        raise HTTPException(404, "No such parcel")
    return found


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await set_up(postgres_dsn)
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/parcels/{parcel}")
    async def read_parcel(parcel: int) -> Parcel:
        async with await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True) as db:
            return await find(db, parcel)

    return app


def create_cured(postgres_dsn: str) -> FastAPI:
    """Sixteen connections, opened once, wait in a queue for whoever needs one."""
    idle: asyncio.LifoQueue[psycopg.AsyncConnection] = asyncio.LifoQueue()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await set_up(postgres_dsn)
        async with AsyncExitStack() as opened:
            for _ in range(16):
                db = await psycopg.AsyncConnection.connect(postgres_dsn, autocommit=True)
                idle.put_nowait(await opened.enter_async_context(db))
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/parcels/{parcel}")
    async def read_parcel(parcel: int) -> Parcel:
        db = await idle.get()
        try:
            return await find(db, parcel)
        finally:
            idle.put_nowait(db)

    return app
