"""SQLAlchemy Core, with a generation of all lists in the keys."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine


class NewPost(BaseModel):
    author_id: int
    title: str
    body: str


class Post(NewPost):
    id: int
    created_at: datetime


Limit = Annotated[int, Query(ge=1, le=100)]
INDEX = "CREATE INDEX IF NOT EXISTS posts_newest ON posts (created_at DESC, id DESC)"
FIRST = text("SELECT * FROM posts ORDER BY created_at DESC, id DESC LIMIT :limit")
LATER = text("""SELECT * FROM posts
    WHERE (created_at, id) < ((SELECT created_at FROM posts WHERE id = :before), :before)
    ORDER BY created_at DESC, id DESC LIMIT :limit""")
PAGE_JSON, POST_JSON = TypeAdapter(list[Post]), TypeAdapter(Post)


def answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def create_app(postgres_dsn: str, valkey_url: str) -> FastAPI:
    engine = create_async_engine(
        make_url(postgres_dsn).set(drivername="postgresql+asyncpg"), pool_size=10, max_overflow=0
    )

    async def fetch(query: Any, **values: Any) -> Any:
        async with engine.connect() as conn:
            return (await conn.execute(query, values)).mappings().all()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.cache = redis.from_url(valkey_url)
        async with engine.begin() as conn:
            # Of workers that start together one would fail.
            await conn.execute(text("SELECT pg_advisory_xact_lock(14)"))
            await conn.execute(text(INDEX))
        yield
        await engine.dispose()
        await app.state.cache.aclose()

    app = FastAPI(lifespan=lifespan)

    async def fetch_page(before: int | None, limit: int) -> bytes:
        if before is None:
            rows = await fetch(FIRST, limit=limit)
        else:
            rows = await fetch(LATER, limit=limit, before=before)
        return PAGE_JSON.dump_json([Post(**row) for row in rows])

    under_way: dict[str, asyncio.Task[bytes]] = {}

    async def changed() -> None:
        await app.state.cache.set("generation", secrets.token_hex(8), ex=600)

    async def generation() -> str:
        found = await app.state.cache.get("generation")
        if found is None:
            await app.state.cache.set("generation", secrets.token_hex(8), nx=True, ex=600)
            found = await app.state.cache.get("generation")
        return found.decode()

    async def fill(key: str, before: int | None, limit: int) -> bytes:
        try:
            body = await fetch_page(before, limit)
            await app.state.cache.set(key, body, ex=60)
            return body
        finally:
            del under_way[key]

    @app.get("/posts", response_model=list[Post])
    async def read_posts(before: int | None = None, limit: Limit = 10) -> Any:
        key = f"posts:{await generation()}:{before}:{limit}"
        if body := await app.state.cache.get(key):
            return answer(body)
        if key not in under_way:
            under_way[key] = asyncio.create_task(fill(key, before, limit))
        return answer(await asyncio.shield(under_way[key]))

    @app.get("/posts/{post_id}", response_model=Post)
    async def read_post(post_id: int) -> Any:
        key = f"post:{post_id}"
        if body := await app.state.cache.get(key):
            return answer(body)
        rows = await fetch(text("SELECT * FROM posts WHERE id = :id"), id=post_id)
        if not rows:
            raise HTTPException(404, "Post not found")
        (row,) = rows
        body = POST_JSON.dump_json(Post(**row))
        await app.state.cache.set(key, body, ex=60)
        return answer(body)

    @app.post("/posts", response_model=Post)
    async def create_post(post: NewPost) -> Any:
        insert = text(
            "INSERT INTO posts (author_id, title, body) VALUES (:author_id, :title, :body) "
            "RETURNING *"
        )
        async with engine.begin() as conn:
            row = (await conn.execute(insert, post.model_dump())).mappings().one()
        await changed()
        return dict(row)

    return app
