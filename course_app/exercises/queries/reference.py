"""A good answer; ``solution(...)`` shows its source."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, HTTPException, Query

INDEX = "CREATE INDEX IF NOT EXISTS posts_newest ON posts (created_at, id)"
# The page first, in the order of the index; authors and tags only for the posts on it. By LEFT
# JOIN, because nothing keeps an author from being deleted: a post less would end the list early.
REPORT = """
SELECT p.id, p.title, p.created_at, users.name AS author, ARRAY(
    SELECT tags.name FROM post_tags JOIN tags ON tags.id = post_tags.tag_id
    WHERE post_tags.post_id = p.id ORDER BY tags.name
) AS tags
FROM (
    SELECT id, title, author_id, created_at FROM posts
    WHERE (created_at, id) <
        (coalesce($2::timestamptz, 'infinity'), coalesce($3::bigint, 9223372036854775807))
    ORDER BY created_at DESC, id DESC LIMIT $1
) AS p LEFT JOIN users ON users.id = p.author_id
ORDER BY p.created_at DESC, p.id DESC
"""


def place_of(cursor: str | None) -> tuple[datetime | None, int | None]:
    """Where the page before ended."""
    if cursor is None:
        return None, None
    text, _, number = cursor.rpartition("_")
    try:
        created_at, post_id = datetime.fromisoformat(text), int(number)
        if created_at.tzinfo is None or not 0 < post_id < 2**63:
            raise ValueError(cursor)
        return created_at.astimezone(UTC), post_id
    except (ValueError, OverflowError):  # also a time before the year 1, once it is UTC
        raise HTTPException(422, "This cursor is not one of the report's") from None


def cursor_of(post: asyncpg.Record) -> str:
    """The post's place. asyncpg's times are UTC; Z says so in a URL, too, where + is a space."""
    return f"{post['created_at']:%Y-%m-%dT%H:%M:%S.%fZ}_{post['id']}"


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            await app.state.pool.execute(INDEX)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/report")
    async def report(
        limit: Annotated[int, Query(ge=1, le=100)] = 20, cursor: str | None = None
    ) -> dict[str, Any]:
        rows = await app.state.pool.fetch(REPORT, limit, *place_of(cursor))
        fields = ("id", "title", "author", "tags")
        posts = [{field: row[field] for field in fields} for row in rows]
        return {"posts": posts, "next": cursor_of(rows[-1]) if len(rows) == limit else None}

    return app
