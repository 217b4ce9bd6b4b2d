"""What the learner starts from: the guide's blog, with pages by cursor."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel


class NewPost(BaseModel):
    author_id: int
    title: str
    body: str


class Post(NewPost):
    id: int
    created_at: datetime


def slow_blog(postgres_dsn: str, valkey_url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.cache = redis.from_url(valkey_url)
        async with asyncpg.create_pool(postgres_dsn, min_size=5, max_size=10) as app.state.pool:
            yield
        await app.state.cache.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.middleware("http")
    async def process_time(request: Request, call_next: Any) -> Any:
        began = time.time()
        response = await call_next(request)
        response.headers["X-Process-Time"] = str(time.time() - began)
        return response

    @app.get("/posts", response_model=list[Post])
    async def read_posts(before: int | None = None, limit: int = 10) -> Any:
        key = f"posts:{before}:{limit}"
        if cached := await app.state.cache.get(key):
            return json.loads(cached)
        query = """
            SELECT * FROM posts
            WHERE $1::bigint IS NULL
                OR (created_at, id) < ((SELECT created_at FROM posts WHERE id = $1), $1)
            ORDER BY created_at DESC, id DESC LIMIT $2
        """
        posts = [dict(row) for row in await app.state.pool.fetch(query, before, limit)]
        await app.state.cache.set(key, json.dumps(posts, default=str), ex=60)
        return posts

    @app.get("/posts/{post_id}", response_model=Post)
    async def read_post(post_id: int) -> Any:
        key = f"post:{post_id}"
        if cached := await app.state.cache.get(key):
            return json.loads(cached)
        row = await app.state.pool.fetchrow("SELECT * FROM posts WHERE id = $1", post_id)
        if row is None:
            raise HTTPException(404, "Post not found")
        await app.state.cache.set(key, json.dumps(dict(row), default=str), ex=60)
        return dict(row)

    @app.post("/posts", response_model=Post)
    async def create_post(post: NewPost) -> Any:
        insert = "INSERT INTO posts (author_id, title, body) VALUES ($1, $2, $3) RETURNING *"
        row = await app.state.pool.fetchrow(insert, post.author_id, post.title, post.body)
        await app.state.cache.delete("posts:None:10")
        return dict(row)

    return app
