"""A generation of all lists is a part of their keys."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import BaseModel, TypeAdapter


class NewPost(BaseModel):
    author_id: int
    title: str
    body: str


class Post(NewPost):
    id: int
    created_at: datetime


Limit = Annotated[int, Query(ge=1, le=100)]
# Locked, because of workers that start together one would fail.
INDEX = """SELECT pg_advisory_xact_lock(14);
    CREATE INDEX IF NOT EXISTS posts_newest ON posts (created_at DESC, id DESC)"""
FIRST = "SELECT * FROM posts ORDER BY created_at DESC, id DESC LIMIT $1"
LATER = """SELECT * FROM posts
    WHERE (created_at, id) < ((SELECT created_at FROM posts WHERE id = $2), $2)
    ORDER BY created_at DESC, id DESC LIMIT $1"""
PAGE_JSON, POST_JSON = TypeAdapter(list[Post]), TypeAdapter(Post)


def answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def create_app(postgres_dsn: str, valkey_url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.cache = redis.from_url(valkey_url)
        async with asyncpg.create_pool(postgres_dsn, min_size=10, max_size=10) as app.state.pool:
            await app.state.pool.execute(INDEX)
            yield
        await app.state.cache.aclose()

    app = FastAPI(lifespan=lifespan)

    async def fetch_page(before: int | None, limit: int) -> bytes:
        if before is None:
            rows = await app.state.pool.fetch(FIRST, limit)
        else:
            rows = await app.state.pool.fetch(LATER, limit, before)
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
        row = await app.state.pool.fetchrow("SELECT * FROM posts WHERE id = $1", post_id)
        if row is None:
            raise HTTPException(404, "Post not found")
        body = POST_JSON.dump_json(Post(**row))
        await app.state.cache.set(key, body, ex=60)
        return answer(body)

    @app.post("/posts", response_model=Post)
    async def create_post(post: NewPost) -> Any:
        insert = "INSERT INTO posts (author_id, title, body) VALUES ($1, $2, $3) RETURNING *"
        row = await app.state.pool.fetchrow(insert, post.author_id, post.title, post.body)
        await changed()
        return dict(row)

    return app
