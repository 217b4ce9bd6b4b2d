"""The report that the learner starts from: right as long as nobody writes, and slow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI

PAGE = "SELECT * FROM posts ORDER BY created_at DESC, id DESC OFFSET $2 LIMIT $1"
AUTHOR = "SELECT * FROM users WHERE id = $1"
TAGS = """SELECT tags.* FROM post_tags JOIN tags ON tags.id = post_tags.tag_id
    WHERE post_tags.post_id = $1 ORDER BY tags.name"""


def slow_report(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/report")
    async def report(limit: int = 20, cursor: int = 0) -> dict[str, Any]:
        posts = []
        async with app.state.pool.acquire() as conn:
            for row in await conn.fetch(PAGE, limit, cursor):
                author = await conn.fetchrow(AUTHOR, row["author_id"])
                tags = [tag["name"] for tag in await conn.fetch(TAGS, row["id"])]
                post = {"id": row["id"], "title": row["title"]}
                posts.append(post | {"author": author["name"], "tags": tags})
        return {"posts": posts, "next": str(cursor + limit) if len(posts) == limit else None}

    return app
