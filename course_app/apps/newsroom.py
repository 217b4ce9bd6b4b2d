"""A newsroom of three pages, each put together in three stages.

A stage is a function of the pool and of the page so far. :mod:`course_app.apps.suspects` makes
one of them slow.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import combinations
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException

Page = dict[str, Any]
Stage = Callable[[Any, Page], Awaitable[Any]]
Stages = Mapping[str, Mapping[str, Stage]]

#: What the sound versions rely on; the blog comes with primary keys only.
INDICES = """
CREATE INDEX IF NOT EXISTS newsroom_comments ON comments (post_id);
CREATE INDEX IF NOT EXISTS newsroom_posts ON posts (author_id);
CREATE INDEX IF NOT EXISTS newsroom_tags ON post_tags (tag_id, post_id);
"""
LATEST = 40
_WORD = re.compile(r"\w+")
_LONG_WORD = re.compile(r"\w{4,}")
TAGGED = """
SELECT p.id, p.author_id, p.title FROM post_tags t JOIN posts p ON p.id = t.post_id
WHERE t.tag_id = $1 ORDER BY t.post_id DESC
"""


async def post(pool: Any, page: Page) -> Page:
    return await _one(pool, "SELECT title, body FROM posts WHERE id = $1", page)


async def comments(pool: Any, page: Page) -> list[Page]:
    query = "SELECT id, body FROM comments WHERE post_id = $1 ORDER BY id"
    return [dict(row) for row in await pool.fetch(query, page["id"])]


async def words(_pool: Any, page: Page) -> list[tuple[str, int]]:
    counted = Counter(words_of(page))
    return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:10]


async def user(pool: Any, page: Page) -> Page:
    return await _one(pool, "SELECT name, bio FROM users WHERE id = $1", page)


async def articles(pool: Any, page: Page) -> list[Page]:
    query = "SELECT id, title, created_at FROM posts WHERE author_id = $1 ORDER BY id LIMIT 40"
    return [dict(row) for row in await pool.fetch(query, page["id"])]


async def activity(_pool: Any, page: Page) -> dict[str, int]:
    months = Counter(f"{article['created_at']:%Y-%m}" for article in page["articles"])
    return dict(sorted(months.items()))


async def latest(pool: Any, page: Page) -> list[Page]:
    rows = await pool.fetch(f"{TAGGED} LIMIT {LATEST}", page["id"])
    return found([dict(row) for row in rows])


async def authors(pool: Any, page: Page) -> dict[int, str]:
    ids = {post["author_id"] for post in page["latest"]}
    rows = await pool.fetch("SELECT id, name FROM users WHERE id = ANY($1) ORDER BY id", list(ids))
    return {row["id"]: row["name"] for row in rows}


async def related(_pool: Any, page: Page) -> list[int]:
    titles = [(post["id"], set(_WORD.findall(post["title"].lower()))) for post in page["latest"]]
    pairs = combinations(titles, 2)
    a, b = max(pairs, key=lambda pair: len(pair[0][1] & pair[1][1]))
    return [a[0], b[0]]


SOUND: Stages = {
    "posts": {"post": post, "comments": comments, "words": words},
    "users": {"user": user, "articles": articles, "activity": activity},
    "tags": {"latest": latest, "authors": authors, "related": related},
}


def replaced(stages: Stages, page: str, stage: str, function: Stage) -> Stages:
    """The same stages, but for one."""
    return {**stages, page: {**stages[page], stage: function}}


def create_newsroom(postgres_dsn: str, stages: Stages) -> FastAPI:
    """The app: pages for a post, a user and a tag."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            await app.state.pool.execute(INDICES)
            yield

    app = FastAPI(lifespan=lifespan)

    async def put_together(kind: str, number: int) -> Page:
        page: Page = {"id": number}
        for name, stage in stages[kind].items():
            page[name] = await stage(app.state.pool, page)
        return page

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int) -> Page:
        return await put_together("posts", post_id)

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> Page:
        return await put_together("users", user_id)

    @app.get("/tags/{tag_id}")
    async def read_tag(tag_id: int) -> Page:
        return await put_together("tags", tag_id)

    return app


async def _one(pool: Any, query: str, page: Page) -> Page:
    row = await pool.fetchrow(query, page["id"])
    if row is None:
        raise HTTPException(404, "No such page")
    return dict(row)


def found(rows: list[Page]) -> list[Page]:
    """The rows, or 404 where there are none."""
    if not rows:
        raise HTTPException(404, "No such page")
    return rows


def words_of(page: Page) -> list[str]:
    """The longer words of a post and its comments, in lower case."""
    texts = [page["post"]["body"], *(comment["body"] for comment in page["comments"])]
    return _LONG_WORD.findall(" ".join(texts).lower())
