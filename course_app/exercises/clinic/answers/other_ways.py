"""All six causes mended in other ways: two statements, a TaskGroup, a connection by dependency."""

import asyncio
import re
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, TypeAdapter

from course_app.apps.partner import list_price_async, load_session

seed = 5
findings = {"n_plus_one": "newest", "connection_per_request": "read_user"}


class Member(BaseModel):
    id: int
    name: str
    email: str
    age: int
    bio: str


MEMBERS = TypeAdapter(list[Member])


@asynccontextmanager
async def lifespan(app):
    connection = await asyncpg.connect(app.state.dsn)
    await connection.execute("CREATE INDEX IF NOT EXISTS of_post ON comments (post_id, id)")
    await connection.execute("CREATE INDEX IF NOT EXISTS of_author ON posts (author_id)")
    await connection.close()
    async with asyncpg.create_pool(app.state.dsn, min_size=2, max_size=8) as app.state.pool:
        yield


async def database(request: Request):
    async with request.app.state.pool.acquire() as connection:
        yield connection


async def customer(token: str):
    return await run_in_threadpool(load_session, token)


Database = Annotated[asyncpg.Connection, Depends(database)]


def create_app(postgres_dsn: str) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.state.dsn = postgres_dsn

    @app.get("/newest")
    async def newest(
        connection: Database, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> list[dict[str, str | int]]:
        posts = await connection.fetch(
            "SELECT id, title, author_id FROM posts ORDER BY id DESC LIMIT $1", limit
        )
        authors = await connection.fetch(
            "SELECT id, name FROM users WHERE id = ANY($1)", [post["author_id"] for post in posts]
        )
        names = {author["id"]: author["name"] for author in authors}
        return [
            {"id": post["id"], "title": post["title"], "author": names[post["author_id"]]}
            for post in posts
        ]

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int, connection: Database) -> dict[str, str | int]:
        post = await connection.fetchrow("SELECT id, title, body FROM posts WHERE id = $1", post_id)
        if post is None:
            raise HTTPException(404, "No such page")
        return {**post, "body": re.sub(r"[ \t]+", " ", post["body"])}

    @app.get("/posts/{post_id}/comments")
    async def read_comments(post_id: int, connection: Database) -> list[dict[str, str | int]]:
        rows = await connection.fetch(
            "SELECT id, body FROM comments WHERE post_id = $1 ORDER BY id", post_id
        )
        return list(map(dict, rows))

    @app.get("/users/{user_id}")
    async def read_user(user_id: int, connection: Database) -> dict[str, str | int]:
        name = await connection.fetchval("SELECT name FROM users WHERE id = $1", user_id)
        if name is None:
            raise HTTPException(404, "No such page")
        posts = await connection.fetchval(
            "SELECT count(*) FROM posts WHERE author_id = $1", user_id
        )
        return {"id": user_id, "name": name, "posts": posts}

    @app.get("/members")
    async def read_members(connection: Database, after: int = 0) -> Response:
        rows = await connection.fetch(
            "SELECT id, name, email, age, bio FROM users WHERE id > $1 ORDER BY id LIMIT 300", after
        )
        members = [Member(**row) for row in rows]
        return Response(MEMBERS.dump_json(members), media_type="application/json")

    @app.get("/offers/{article}")
    async def read_offers(article: int) -> list[dict[str, float | None]]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                (number, group.create_task(list_price_async(number)))
                for number in range(article, article + 5)
            ]
        return [{"article": number, "price": task.result()} for number, task in tasks]

    @app.get("/orders/{order}")
    async def read_order(
        order: int, name: Annotated[str, Depends(customer)]
    ) -> dict[str, str | int]:
        return {"order": order, "customer": name}

    return app
