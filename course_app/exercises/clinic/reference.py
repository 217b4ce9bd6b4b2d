"""A good answer to one seed: two places are others, and the false trail has been left alone."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel

from course_app.apps.partner import list_price_async, load_session

INDICES = (
    "CREATE INDEX IF NOT EXISTS posts_author ON posts (author_id)",
    "CREATE INDEX IF NOT EXISTS comments_post ON comments (post_id)",
)
NEWEST = """
SELECT p.id, p.title, u.name AS author FROM posts p JOIN users u ON u.id = p.author_id
ORDER BY p.id DESC LIMIT $1
"""
POST = "SELECT id, title, body FROM posts WHERE id = $1"
COMMENTS = "SELECT id, body FROM comments WHERE post_id = $1 ORDER BY id"
USER = """
SELECT id, name, (SELECT count(*) FROM posts WHERE author_id = users.id) AS posts
FROM users WHERE id = $1
"""
MEMBERS = "SELECT id, name, email, age, bio FROM users WHERE id > $1 ORDER BY id LIMIT 300"


class Member(BaseModel):
    id: int
    name: str
    email: str
    age: int
    bio: str


def customer(token: str) -> str:
    return load_session(token)


def found(row: asyncpg.Record | None) -> dict[str, Any]:
    if row is None:
        raise HTTPException(404, "No such page")
    return dict(row)


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            for index in INDICES:
                await app.state.pool.execute(index)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/newest")
    async def newest(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[dict[str, Any]]:
        return [dict(row) for row in await app.state.pool.fetch(NEWEST, limit)]

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int) -> dict[str, Any]:
        post = found(await app.state.pool.fetchrow(POST, post_id))
        return post | {"body": re.sub(r"[ \t]+", " ", post["body"])}

    @app.get("/posts/{post_id}/comments")
    async def read_comments(post_id: int) -> list[dict[str, Any]]:
        return [dict(row) for row in await app.state.pool.fetch(COMMENTS, post_id)]

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> dict[str, Any]:
        async with app.state.pool.acquire() as connection:
            return found(await connection.fetchrow(USER, user_id))

    @app.get("/members", response_model=list[Member])
    async def read_members(after: int = 0) -> Any:
        return [dict(row) for row in await app.state.pool.fetch(MEMBERS, after)]

    @app.get("/offers/{article}")
    async def read_offers(article: int) -> list[dict[str, Any]]:
        numbers = range(article, article + 5)
        prices = await asyncio.gather(*(list_price_async(number) for number in numbers))
        return [{"article": n, "price": price} for n, price in zip(numbers, prices, strict=True)]

    @app.get("/orders/{order}")
    async def read_order(order: int, name: Annotated[str, Depends(customer)]) -> dict[str, Any]:
        return {"order": order, "customer": name}

    return app


#: What is handed in beside the app, by the names that a learner's file has for it.
seed = 5
findings = {"n_plus_one": "newest", "connection_per_request": "read_user"}
