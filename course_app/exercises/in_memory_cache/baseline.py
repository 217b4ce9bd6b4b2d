"""The app that the learner starts from: right, and slow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, HTTPException, Query

Limit = Annotated[int, Query(ge=1, le=50)]
Report = dict[str, Any]

TAG = "SELECT name FROM tags WHERE id = $1"
TOP_AUTHORS = """
SELECT users.id, users.name, count(*) AS posts
FROM post_tags JOIN posts ON posts.id = post_id JOIN users ON users.id = posts.author_id
WHERE tag_id = $1 GROUP BY users.id ORDER BY posts DESC, users.id LIMIT $2
"""


def report_for_each_request(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    async def load(tag_id: int, limit: int) -> Report:
        try:
            name = await app.state.pool.fetchval(TAG, tag_id)
            authors = await app.state.pool.fetch(TOP_AUTHORS, tag_id, limit)
        except asyncpg.PostgresError:
            raise HTTPException(503, "The database has a problem") from None
        if name is None:
            raise HTTPException(404, "No such tag")
        return {"tag": name, "authors": [dict(author) for author in authors]}

    @app.get("/tags/{tag_id}/authors")
    async def top_authors(tag_id: int, limit: Limit = 10, reader: int | None = None) -> Report:
        report = await load(tag_id, limit)
        for author in report["authors"]:
            if author["id"] == reader:
                author["you"] = True
        return report

    return app
