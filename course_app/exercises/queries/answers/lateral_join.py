"""One statement, with a LATERAL join for the tags."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, HTTPException, Query

Limit = Annotated[int, Query(ge=1, le=100)]


def encode(row: Any) -> str:
    return f"{row['created_at'].isoformat()}|{row['id']}"


def decode(cursor: str) -> tuple[datetime, int]:
    try:
        stamp, _, number = cursor.partition("|")
        at, number = datetime.fromisoformat(stamp), int(number)
        if at.tzinfo is None or not 0 < number < 2**63:
            raise ValueError(cursor)
        return at.astimezone(UTC), number
    except (ValueError, OverflowError):
        raise HTTPException(422, "Not a cursor") from None


PAGE = """
SELECT p.id, p.created_at, p.title, u.name AS author, t.tags
FROM posts AS p
LEFT JOIN users AS u ON u.id = p.author_id
LEFT JOIN LATERAL (
    SELECT coalesce(array_agg(tags.name ORDER BY tags.name), '{}') AS tags
    FROM post_tags JOIN tags ON tags.id = tag_id WHERE post_id = p.id
) AS t ON true
WHERE (p.created_at, p.id) < ($2, $3)
ORDER BY p.created_at DESC, p.id DESC LIMIT $1
"""

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
        at, number = (
            decode(cursor) if cursor is not None else (datetime.max.replace(tzinfo=UTC), 2**63 - 1)
        )
        rows = await app.state.pool.fetch(PAGE, limit, at, number)
        posts = [
            {"id": r["id"], "title": r["title"], "author": r["author"], "tags": r["tags"]}
            for r in rows
        ]
        return {"posts": posts, "next": encode(rows[-1]) if len(rows) == limit else None}

    return app
