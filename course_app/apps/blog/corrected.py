"""The blog with the guide's faults mended, each by a choice of its own.

With no choice made it behaves as the guide's does. Its lists are then pages by OFFSET
(``?skip=20&limit=10``); with ``fresh_lists`` they are pages by cursor (``?before=4711&limit=10``).
"""

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import asyncpg
import redis.asyncio as redis
from cachetools import TTLCache
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import TypeAdapter

from course_app.apps.blog.guide import NewPost, Post
from course_app.apps.blog.parts import ServerTiming, SingleFlight

KEPT_SECONDS = 60
#: There is no such post. It is not kept: the post may be written while it is looked for.
MISSING = b""
#: A page begins below a cursor. While that post is so young, a slower transaction may still bring
#: a post that belongs below it; later the page can be kept.
SETTLED_SECONDS = 60
_LOCAL_ENTRIES = 10_000

Limit = Annotated[int, Query(ge=1, le=100)]
_posts = TypeAdapter(list[Post])


@dataclass(frozen=True)
class Choices:
    """What is mended.

    Attributes:
        asgi_timing: the stopwatch in pure ASGI, not as an HTTP middleware.
        cached_bytes: a hit is sent as it lies in the cache, without parsing and validating it.
        fresh_lists: pages by cursor, a version for the newest page, bounded limits.
        single_flight: one query for all who miss the same entry of the same version.
        local_seconds: answers are kept in the process for so long, and may be that old.
    """

    asgi_timing: bool = False
    cached_bytes: bool = False
    fresh_lists: bool = False
    single_flight: bool = False
    local_seconds: float = 0.0


class Blog:
    """Posts in PostgreSQL, their answers in Valkey; made by an app's lifespan."""

    def __init__(
        self, pool: asyncpg.Pool, cache: redis.Redis, table: str, prefix: str, choices: Choices
    ) -> None:
        self.pool, self.table, self.prefix = pool, table, prefix
        self.cache: Any = cache  # its types cannot tell bytes from text
        self.choices = choices
        self.flights = SingleFlight()

    async def look(self, key: str) -> tuple[bytes, bytes | None]:
        """The version of now and what is kept under a key, in one command."""
        if not self.choices.fresh_lists:
            return b"", await self.cache.get(key)
        version, kept = await self.cache.mget(f"{self.prefix}version", key)
        return version or await self.new_version(), kept

    async def load(self, key: str, version: bytes, load: Callable[[], Any]) -> bytes:
        """Load an entry that was missed; who comes after a write joins no load from before it."""
        if self.choices.single_flight:
            return await self.flights.run(f"{key}:{version!r}", load)
        return bytes(await load())

    async def post(self, post_id: int) -> bytes:
        """A post as JSON; ``MISSING`` if there is none."""
        key = f"{self.prefix}post:{post_id}"
        version, kept = await self.look(key)
        if kept is not None:
            return kept

        async def load() -> bytes:
            query = f"SELECT * FROM {self.table} WHERE id = $1"
            row = await self.pool.fetchrow(query, post_id)
            if row is None:
                return MISSING
            body = as_post(row).model_dump_json().encode()
            await self.cache.set(key, body, ex=KEPT_SECONDS)
            return body

        return await self.load(key, version, load)

    async def page(self, skip: int, limit: int) -> bytes:
        """A page by OFFSET, as the guide keeps it."""
        key = f"{self.prefix}posts:list:{skip}:{limit}"
        version, kept = await self.look(key)
        if kept is not None:
            return kept

        async def load() -> bytes:
            query = f"SELECT * FROM {self.table} ORDER BY created_at DESC LIMIT $1 OFFSET $2"
            body = as_json(await self.pool.fetch(query, limit, skip))
            await self.cache.set(key, body, ex=KEPT_SECONDS)
            return body

        return await self.load(key, version, load)

    async def newest(self, limit: int) -> bytes:
        """The newest posts: kept together with the version that they were read after."""
        key = f"{self.prefix}newest:{limit}"
        version, kept = await self.look(key)
        if kept is not None and kept.startswith(version):
            return kept[len(version) :]

        async def load() -> bytes:
            query = f"SELECT * FROM {self.table} ORDER BY created_at DESC, id DESC LIMIT $1"
            body = as_json(await self.pool.fetch(query, limit))
            await self.cache.set(key, version + body, ex=KEPT_SECONDS)
            return body

        return await self.load(key, version, load)

    async def older(self, before: int, limit: int) -> bytes:
        """The posts before one post: a new post does not change them, so there is no version."""
        key = f"{self.prefix}before:{before}:{limit}"
        version, kept = await self.look(key)
        if kept is not None:
            return kept

        async def load() -> bytes:
            query = (
                f"WITH cursor AS (SELECT created_at FROM {self.table} WHERE id = $1) "
                "SELECT *, (SELECT created_at FROM cursor) < "
                f"now() - {SETTLED_SECONDS} * interval '1 second' AS settled "
                f"FROM {self.table} WHERE (created_at, id) < ((SELECT created_at FROM cursor), $1) "
                "ORDER BY created_at DESC, id DESC LIMIT $2"
            )
            rows = await self.pool.fetch(query, before, limit)
            body = as_json(rows)
            if rows and rows[0]["settled"]:
                await self.cache.set(key, body, ex=KEPT_SECONDS)
            return body

        return await self.load(key, version, load)

    async def create(self, post: NewPost) -> Post:
        """Add a post; when this returns, nobody is told of a time before it any more."""
        insert = (
            f"INSERT INTO {self.table} (author_id, title, body) VALUES ($1, $2, $3) RETURNING *"
        )
        row = await self.pool.fetchrow(insert, post.author_id, post.title, post.body)
        if self.choices.fresh_lists:
            await self.new_version()
        else:
            await self.cache.delete(f"{self.prefix}posts:list:0:10")
        return as_post(row)

    async def new_version(self) -> bytes:
        """A version that never was: a counter would begin again if Valkey lost it."""
        version = secrets.token_bytes(8)
        await self.cache.set(f"{self.prefix}version", version)
        return version


def as_post(row: asyncpg.Record) -> Post:
    """What PostgreSQL gave needs no validation."""
    return Post.model_construct(**dict(row))


def as_json(rows: list[asyncpg.Record]) -> bytes:
    """A list of posts, as FastAPI would write it."""
    return _posts.dump_json([as_post(row) for row in rows])


def create_blog(
    postgres_dsn: str,
    valkey_url: str,
    choices: Choices,
    *,
    table: str = "posts",
    prefix: str = "blog:",
) -> FastAPI:
    """The blog with these choices; ``table`` and ``prefix`` as in the guide's."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        cache = redis.from_url(valkey_url)
        # As many as the guide has: the pool is no difference between the blogs.
        async with asyncpg.create_pool(postgres_dsn, min_size=5, max_size=20) as pool:
            app.state.blog = Blog(pool, cache, table, prefix, choices)
            yield
        await cache.aclose()

    app = FastAPI(lifespan=lifespan)
    if choices.asgi_timing:
        app.add_middleware(ServerTiming)
    else:
        _add_the_guides_stopwatch(app)
    _add_routes(app, choices)
    return app


def _add_the_guides_stopwatch(app: FastAPI) -> None:
    @app.middleware("http")
    async def process_time(request: Any, call_next: Any) -> Any:
        began = time.time()
        response = await call_next(request)
        response.headers["X-Process-Time"] = str(time.time() - began)
        return response


def _add_routes(app: FastAPI, choices: Choices) -> None:
    local: TTLCache[Any, bytes] = TTLCache(_LOCAL_ENTRIES, choices.local_seconds or 1e-9)

    async def nearby(key: Any, load: Callable[[], Any]) -> bytes:
        """An answer from this process, if it may be a little old."""
        if not choices.local_seconds:
            return bytes(await load())
        body = local.get(key)
        if body is None:
            body = local[key] = await load()
        return body

    def sent(body: bytes) -> Any:
        if choices.cached_bytes:
            return Response(body, media_type="application/json")
        return json.loads(body)

    if choices.fresh_lists:

        @app.get("/posts", response_model=list[Post])
        async def read_page(before: int | None = None, limit: Limit = 10) -> Any:
            blog: Blog = app.state.blog
            if before is None:
                return sent(await nearby((0, limit), lambda: blog.newest(limit)))
            return sent(await nearby((before, limit), lambda: blog.older(before, limit)))
    else:

        @app.get("/posts", response_model=list[Post])
        async def read_posts(skip: int = 0, limit: int = 10) -> Any:
            blog: Blog = app.state.blog
            return sent(await nearby((skip, limit), lambda: blog.page(skip, limit)))

    @app.get("/posts/{post_id}", response_model=Post)
    async def read_post(post_id: int) -> Any:
        body = await nearby(post_id, lambda: app.state.blog.post(post_id))
        if body == MISSING:
            raise HTTPException(404, "Post not found")
        return sent(body)

    @app.post("/posts", response_model=Post)
    async def create_post(post: NewPost) -> Any:
        return await app.state.blog.create(post)


def create_floor(body_of_post: bytes, body_of_page: bytes) -> FastAPI:
    """What any blog on FastAPI costs at least: handlers that send bytes made before."""
    app = FastAPI()

    @app.get("/posts")
    async def read_posts() -> Response:
        return Response(body_of_page, media_type="application/json")

    @app.get("/posts/{post_id}")
    async def read_post() -> Response:
        return Response(body_of_post, media_type="application/json")

    return app
