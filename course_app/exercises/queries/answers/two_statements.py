"""Two statements that see the same moment, in a transaction."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError

Limit = Annotated[int, Query(ge=1, le=100)]

FIRST = """SELECT p.id, p.created_at, p.title, u.name AS author
    FROM posts p LEFT JOIN users u ON u.id = p.author_id
    ORDER BY p.created_at DESC, p.id DESC LIMIT $1"""
LATER = """SELECT p.id, p.created_at, p.title, u.name AS author
    FROM posts p LEFT JOIN users u ON u.id = p.author_id
    WHERE p.created_at <= $2 AND (p.created_at < $2 OR p.id < $3)
    ORDER BY p.created_at DESC, p.id DESC LIMIT $1"""
TAGS = """SELECT post_id, name FROM post_tags JOIN tags ON tags.id = tag_id
    WHERE post_id = ANY($1::bigint[]) ORDER BY name"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(row: Any) -> str:
    micros = (row["created_at"] - EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(json.dumps([micros, row["id"]]).encode()).decode()


def decode(cursor: str) -> tuple[datetime, int]:
    try:
        micros, number = json.loads(base64.urlsafe_b64decode(cursor))
        if type(micros) is not int or type(number) is not int or abs(number) >= 2**63:
            raise ValueError
        return EPOCH + timedelta(microseconds=micros), number
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise RequestValidationError(
            [{"type": "cursor", "loc": ("query", "cursor"), "msg": "not a cursor", "input": cursor}]
        ) from None


INDEX = "CREATE INDEX IF NOT EXISTS posts_newest ON posts (created_at DESC, id DESC)"


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            await app.state.pool.execute(INDEX)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/report")
    async def report(limit: Limit = 20, cursor: str | None = None) -> dict[str, Any]:
        where = () if cursor is None else decode(cursor)
        async with (
            app.state.pool.acquire() as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await conn.fetch(LATER if where else FIRST, limit, *where)
            tags: dict[int, list[str]] = {row["id"]: [] for row in rows}
            for tag in await conn.fetch(TAGS, list(tags)):
                tags[tag["post_id"]].append(tag["name"])
        posts = [
            {"id": r["id"], "title": r["title"], "author": r["author"], "tags": tags[r["id"]]}
            for r in rows
        ]
        return {"posts": posts, "next": encode(rows[-1]) if len(rows) == limit else None}

    return app
