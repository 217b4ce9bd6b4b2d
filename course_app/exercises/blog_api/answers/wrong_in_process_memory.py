"""Everything is kept in the process, and each worker has its own."""

import asyncio
from collections import OrderedDict
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
INDEX = "CREATE INDEX IF NOT EXISTS posts_newest ON posts (created_at DESC, id DESC)"
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

    generation = 0
    pages: OrderedDict[Any, bytes] = OrderedDict()
    posts: OrderedDict[int, bytes] = OrderedDict()
    under_way: dict[Any, asyncio.Future[bytes]] = {}

    async def changed() -> None:
        nonlocal generation
        generation += 1
        pages.clear()

    @app.get("/posts", response_model=list[Post])
    async def read_posts(before: int | None = None, limit: Limit = 10) -> Any:
        key = generation, before, limit
        if body := pages.get(key):
            return answer(body)
        if key not in under_way:

            async def fill() -> bytes:
                try:
                    body = await fetch_page(before, limit)
                    if key[0] == generation and len(pages) < 5000:
                        pages[key] = body
                    return body
                finally:
                    del under_way[key]

            under_way[key] = asyncio.ensure_future(fill())
        return answer(await asyncio.shield(under_way[key]))

    @app.get("/posts/{post_id}", response_model=Post)
    async def read_post(post_id: int) -> Any:
        if body := posts.get(post_id):
            return answer(body)
        row = await app.state.pool.fetchrow("SELECT * FROM posts WHERE id = $1", post_id)
        if row is None:
            raise HTTPException(404, "Post not found")
        body = posts[post_id] = POST_JSON.dump_json(Post(**row))
        while len(posts) > 5000:
            posts.popitem(last=False)
        return answer(body)

    @app.post("/posts", response_model=Post)
    async def create_post(post: NewPost) -> Any:
        insert = "INSERT INTO posts (author_id, title, body) VALUES ($1, $2, $3) RETURNING *"
        row = await app.state.pool.fetchrow(insert, post.author_id, post.title, post.body)
        await changed()
        return dict(row)

    return app
