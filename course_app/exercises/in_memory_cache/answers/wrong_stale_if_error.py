"""When the database fails, the old report has to do."""

import asyncio
import time
from collections import OrderedDict
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


def marked(report: Report, reader: int | None) -> Report:
    authors = [a | {"you": True} if a["id"] == reader else a for a in report["authors"]]
    return {"tag": report["tag"], "authors": authors}


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    kept: OrderedDict[tuple[int, int], tuple[float, Report]] = OrderedDict()
    under_way: dict[tuple[int, int], asyncio.Future[Report]] = {}

    async def load(tag_id: int, limit: int) -> Report:
        try:
            name = await app.state.pool.fetchval(TAG, tag_id)
            authors = await app.state.pool.fetch(TOP_AUTHORS, tag_id, limit)
        except asyncpg.PostgresError:
            raise HTTPException(503, "The database has a problem") from None
        if name is None:
            raise HTTPException(404, "No such tag")
        return {"tag": name, "authors": [dict(author) for author in authors]}

    async def cached(tag_id: int, limit: int) -> Report:
        key = tag_id, limit
        if (entry := kept.get(key)) and time.monotonic() - entry[0] < 1:
            kept.move_to_end(key)
            return entry[1]
        if (future := under_way.get(key)) is not None:
            return await asyncio.shield(future)
        future = under_way[key] = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        try:
            report = await load(tag_id, limit)
        except HTTPException as error:
            if error.status_code == 503 and entry is not None:
                future.set_result(entry[1])  # better old than nothing
                return entry[1]
            future.set_exception(error)
            future.exception()
            raise
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # nobody may be waiting
            else:
                future.cancel()
            raise
        else:
            kept[key] = began, report
            kept.move_to_end(key)
            while len(kept) > 20:
                kept.popitem(last=False)
            future.set_result(report)
            return report
        finally:
            del under_way[key]

    @app.get("/tags/{tag_id}/authors")
    async def top_authors(tag_id: int, limit: Limit = 10, reader: int | None = None) -> Report:
        report = await cached(tag_id, limit)
        return marked(report, reader)

    return app
