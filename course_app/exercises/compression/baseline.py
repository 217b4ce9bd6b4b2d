"""The service that the learner starts from, and the guide's line on it: right, and dear."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse

Limit = Annotated[int, Query(ge=1, le=20_000)]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
POST = "SELECT id, title FROM posts WHERE id = $1"
POSTS = """
SELECT convert_to(json_agg(page)::text, 'UTF8') FROM (
    SELECT posts.id, title, body, users.name AS author
    FROM posts JOIN users ON users.id = author_id ORDER BY posts.id LIMIT $1
) AS page
"""


def service(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/posts")  # phones and offices read these
    @app.get("/internal/posts")  # the search indexer does, on this machine
    async def list_posts(limit: Limit = 90) -> Response:
        body = await app.state.pool.fetchval(POSTS, limit)
        return Response(body, media_type="application/json")

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int) -> dict[str, Any]:
        row = await app.state.pool.fetchrow(POST, post_id)
        if row is None:
            raise HTTPException(404, "No such post")
        return dict(row)

    @app.get("/posts/{post_id}/figures.xlsx")  # a spreadsheet is a zip archive
    async def figures(post_id: int) -> Response:
        return Response(random.Random(post_id).randbytes(60_000), media_type=XLSX)

    @app.get("/feed")
    async def feed() -> StreamingResponse:
        async def news() -> AsyncIterator[str]:
            for number in range(5):
                yield f"Piece of news {number}. " * 60
                await asyncio.sleep(0.05)

        return StreamingResponse(news(), media_type="text/plain")

    return app


def guides_line(postgres_dsn: str) -> FastAPI:
    app = service(postgres_dsn)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    return app
