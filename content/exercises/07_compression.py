# %% [markdown]
# # Exercise 07 - Compress only what is worth it
#
# A small publishing service has many readers on phones. A colleague added the guide's line, and
# the phones are happy. But the bill for CPU has grown, spreadsheets take longer to download than
# before, and the search indexer, which runs on the same machine, has become slow.
#
# Every answer is right. Decide what deserves compression, how much of it, and what does not. You
# find everything that you need in [the lesson](../notebooks/07_compression.ipynb).

# %%
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


# %% [markdown]
# This is all that the colleague changed:


# %%
def guides_line(postgres_dsn: str) -> FastAPI:
    app = service(postgres_dsn)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    return app


# %% [markdown]
# See what it does before you change it: what costs most, and what comes of it? The bytes stand in
# the last line of the table.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()
accepts = {"Accept-Encoding": "gzip"}
lab.measure(
    guides_line(lab.postgres_dsn), get("/posts", headers=accepts), concurrency=2, name="a list"
)

# %%
spreadsheet = get("/posts/{post_id}/figures.xlsx", post_id=uniform(1, lab.posts), headers=accepts)
lab.measure(guides_line(lab.postgres_dsn), spreadsheet, concurrency=2, name="a spreadsheet")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (3 points). After decoding every answer is as before, also 404 and 422, and as it
#   is in the database now. Who does not accept gzip gets none. Where an answer may come in either
#   form, `Vary` says so in both.
# - **Mechanism** (4 points). Long lists (`/posts`) go out as small as level 1 makes them, or
#   smaller. Small answers and spreadsheets go out as they are. So does what would be hurt by
#   compression: `/internal/posts`, which only the indexer reads. While megabytes are compressed for
#   one client, the others are answered.
# - **Speed** (2 points). Over all kinds of answers, at least half of what our own solution saves in
#   CPU. And your choice of a level, below.
# - **Hygiene** (1 point). The first piece of a stream (`/feed`) comes long before its last.
#
# Write `create_app`. Begin with `app = service(postgres_dsn)`; the service itself need not change.
# The check calls it with the address of a fresh database.
#
# **Choose a level**, too. Three clients read the list of 90 posts, which is about 90 kB. For each
# of them, which level brings the last byte first: CPU time and bytes on the link together? `None`
# means: better not. Measure the levels on one list, and compute. (The check measures all of
# them, and a choice is good if no other is more than 1.3 times as fast.)
#
# | client | link |
# |---|---|
# | `phone` | 2 Mbit/s |
# | `office` | 100 Mbit/s |
# | `indexer` | 20,000 Mbit/s, within this machine |


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


levels = {"phone": 9, "office": 9, "indexer": 9}


# solution:
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES


class CompressForTheWorld:
    """Passes requests from this machine by, and all others through Starlette's middleware."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.plain, self.packed = app, GZipMiddleware(app, **options)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        inside = scope["type"] != "http" or scope["path"].startswith("/internal/")
        await (self.plain if inside else self.packed)(scope, receive, send)


def create_app(postgres_dsn: str) -> CompressForTheWorld:
    return CompressForTheWorld(
        service(postgres_dsn),
        minimum_size=1000,
        compresslevel=1,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, XLSX),
    )


levels = {"phone": 6, "office": 1, "indexer": None}


# end solution
# %%
from course_app.learn import check

check("07_compression", create_app, levels=levels)

# %% [markdown]
# Stuck? Write `hint("07_compression")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("07_compression")` shows our answer.
