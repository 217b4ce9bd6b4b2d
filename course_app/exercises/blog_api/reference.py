"""A good answer; ``solution(...)`` shows its source."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import Field, TypeAdapter

from course_app.exercises.blog_api.baseline import NewPost, Post

INDEX = """
-- Workers that start together would both create it, and all but one of them fail.
SELECT pg_advisory_xact_lock(14);
CREATE INDEX IF NOT EXISTS posts_newest ON posts (created_at DESC, id DESC)
"""
NEWEST = "SELECT * FROM posts ORDER BY created_at DESC, id DESC LIMIT $1"
# While its cursor is young, a slower transaction may still add a post to a page.
OLDER = """
WITH cursor AS (SELECT created_at FROM posts WHERE id = $1)
SELECT *, (SELECT created_at FROM cursor) < now() - interval '60 s' AS settled FROM posts
WHERE (created_at, id) < ((SELECT created_at FROM cursor), $1)
ORDER BY created_at DESC, id DESC LIMIT $2
"""
POSTS = TypeAdapter(list[Post])
# What PostgreSQL takes as an id; any other number would be a 500.
BigInt = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


def as_json(rows: list[asyncpg.Record]) -> bytes:
    return POSTS.dump_json([Post.model_construct(**dict(row)) for row in rows])


def create_app(postgres_dsn: str, valkey_url: str) -> FastAPI:
    flights: dict[str, asyncio.Future[bytes]] = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.cache = redis.from_url(valkey_url)
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=8) as app.state.pool:
            await app.state.pool.execute(INDEX)
            yield
        await app.state.cache.aclose()

    app = FastAPI(lifespan=lifespan)

    async def once(key: str, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """Of all who miss the same entry, one loads it."""
        if key not in flights:
            flights[key] = asyncio.ensure_future(load())
            flights[key].add_done_callback(lambda _: flights.pop(key))
        return await asyncio.shield(flights[key])

    async def find(key: str) -> tuple[bytes, bytes | None]:
        """The version of now, and what is kept under a key.

        Who reads for an old version is not joined by those who come after a write.
        """
        version, kept = await app.state.cache.mget("version", key)
        return version or await new_version(), kept

    async def newest(limit: int) -> bytes:
        key = f"newest:{limit}"
        version, kept = await find(key)
        if kept is not None and kept.startswith(version):
            return bytes(kept[len(version) :])

        async def load() -> bytes:
            body = as_json(await app.state.pool.fetch(NEWEST, limit))
            await app.state.cache.set(key, version + body, ex=60)
            return body

        return await once(f"{key}:{version!r}", load)

    async def older(before: int, limit: int) -> bytes:
        key = f"before:{before}:{limit}"
        version, kept = await find(key)
        if kept is not None:
            return bytes(kept)

        async def load() -> bytes:
            rows = await app.state.pool.fetch(OLDER, before, limit)
            body = as_json(rows)
            if rows and rows[0]["settled"]:
                await app.state.cache.set(key, body, ex=60)
            return body

        return await once(f"{key}:{version!r}", load)

    async def new_version() -> bytes:
        version = secrets.token_bytes(8)
        await app.state.cache.set("version", version, ex=3600)
        return version

    @app.get("/posts", response_model=list[Post])
    async def read_posts(
        before: BigInt | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 10,
    ) -> Response:
        body = await (newest(limit) if before is None else older(before, limit))
        return Response(body, media_type="application/json")

    @app.get("/posts/{post_id}", response_model=Post)
    async def read_post(post_id: BigInt) -> Response:
        key = f"post:{post_id}"
        version, body = await find(key)

        async def load() -> bytes:
            row = await app.state.pool.fetchrow("SELECT * FROM posts WHERE id = $1", post_id)
            if row is None:
                return b""  # not kept: the post may be written while this is read
            body = Post.model_construct(**dict(row)).model_dump_json().encode()
            await app.state.cache.set(key, body, ex=60)
            return body

        if body is None:
            body = await once(f"{key}:{version!r}", load)
        if not body:
            raise HTTPException(404, "Post not found")
        return Response(body, media_type="application/json")

    @app.post("/posts", response_model=Post)
    async def create_post(post: NewPost) -> Any:
        insert = "INSERT INTO posts (author_id, title, body) VALUES ($1, $2, $3) RETURNING *"
        row = await app.state.pool.fetchrow(insert, post.author_id, post.title, post.body)
        await new_version()
        return dict(row)

    return app
