"""SQLAlchemy's pool, and its own time-out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

USER = text("SELECT id, name, email FROM users WHERE id = :id")
POST = text("SELECT id, title, author_id FROM posts WHERE id = :id")
AUTHOR = text("SELECT name FROM users WHERE id = :id")


def create_app(postgres_dsn: str) -> FastAPI:
    url = make_url(postgres_dsn).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, pool_size=10, max_overflow=0, pool_timeout=0.9)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    async def connection() -> AsyncIterator[AsyncConnection]:
        try:
            conn = await engine.connect()
        except NoConnection:
            raise HTTPException(503, "Busy, try again") from None
        try:
            yield conn
        finally:
            await conn.close()

    Connection = Annotated[AsyncConnection, Depends(connection)]

    @app.get("/users/{user_id}")
    async def read_user(user_id: int, conn: Connection) -> dict[str, Any]:
        row = (await conn.execute(USER, {"id": user_id})).mappings().first()
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int, conn: Connection) -> dict[str, Any]:
        row = (await conn.execute(POST, {"id": post_id})).mappings().first()
        if row is None:
            raise HTTPException(404, "No such post")
        author = await conn.scalar(AUTHOR, {"id": row["author_id"]})
        return {"id": row["id"], "title": row["title"], "author": author}

    return app
