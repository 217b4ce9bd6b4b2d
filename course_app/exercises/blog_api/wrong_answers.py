"""Tempting answers that must fail, each in its own way."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import redis.asyncio as redis
from cachetools import TTLCache
from fastapi import BackgroundTasks, FastAPI, HTTPException, Query, Response

from course_app.exercises.blog_api import rubric
from course_app.exercises.blog_api.baseline import NewPost, Post, slow_blog
from course_app.exercises.blog_api.reference import INDEX, NEWEST, OLDER, as_json, create_app
from course_app.exercises.blog_api.right_answers import ANSWERS
from course_app.grading import Changed, WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

INSERT = "INSERT INTO posts (author_id, title, body) VALUES ($1, $2, $3) RETURNING *"
LIMITS = Query(ge=1, le=100)


class Blog:
    """A right blog in short, whose subclasses each get one thing wrong.

    The newest page is not cached at all; that is simple and never stale.
    """

    index = INDEX
    expiry: int | None = 60
    limits: Any = LIMITS
    caches = True
    flies_alone = True

    def __init__(self, postgres_dsn: str, valkey_url: str) -> None:
        self.dsn, self.url = postgres_dsn, valkey_url
        self.flights: dict[str, asyncio.Future[bytes]] = {}
        self.kept_back: list[dict[str, Any]] = []

    def key(self, before: int, limit: int) -> str:
        return f"before:{before}:{limit}"

    async def kept(self, key: str, query: str, *values: Any, flies_alone: bool = True) -> bytes:
        body = await self.cache.get(key) if self.caches else None
        if body is not None:
            return bytes(body)

        async def load() -> bytes:
            body = as_json(await self.pool.fetch(query, *values))
            if self.caches and body != b"[]":
                await self.cache.set(key, body, ex=self.expiry)
            return body

        if not (self.flies_alone and flies_alone):
            return await load()
        if key not in self.flights:
            self.flights[key] = asyncio.ensure_future(load())
            self.flights[key].add_done_callback(lambda _: self.flights.pop(key))
        return await asyncio.shield(self.flights[key])

    async def newest(self, limit: int) -> bytes:
        return as_json(await self.pool.fetch(NEWEST, limit))

    async def create(self, post: NewPost, _background: BackgroundTasks) -> Any:
        return dict(await self.pool.fetchrow(INSERT, post.author_id, post.title, post.body))

    def sent(self, body: bytes) -> Any:
        return Response(body, media_type="application/json")

    def app(self) -> FastAPI:
        import asyncpg

        @asynccontextmanager
        async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
            self.cache: Any = redis.from_url(self.url)
            async with asyncpg.create_pool(self.dsn, min_size=4, max_size=8) as self.pool:
                if self.index:
                    await self.pool.execute(self.index)
                yield
            await self.cache.aclose()

        app = FastAPI(lifespan=lifespan)
        self.add_routes(app)
        return app

    def add_routes(self, app: FastAPI) -> None:
        Limit = Annotated[int, self.limits]

        @app.get("/posts", response_model=list[Post])
        async def read_posts(before: int | None = None, limit: Limit = 10) -> Any:
            if before is None:
                return self.sent(await self.newest(limit))
            return self.sent(await self.kept(self.key(before, limit), OLDER, before, limit))

        @app.get("/posts/{post_id}", response_model=Post)
        async def read_post(post_id: int) -> Any:
            query = "SELECT * FROM posts WHERE id = $1"
            # Nobody waits for another's reading of a post, which may be written meanwhile.
            body = await self.kept(f"post:{post_id}", query, post_id, flies_alone=False)
            if body == b"[]":
                raise HTTPException(404, "Post not found")
            return Response(body[1:-1], media_type="application/json")

        @app.post("/posts", response_model=Post)
        async def create_post(post: NewPost, background: BackgroundTasks) -> Any:
            return await self.create(post, background)


class OneKeyDeleted(Blog):
    async def newest(self, limit: int) -> bytes:
        return await self.kept(f"newest:{limit}", NEWEST, limit)

    async def create(self, post: NewPost, background: BackgroundTasks) -> Any:
        created = await super().create(post, background)
        await self.cache.delete("newest:10")
        return created


class ASecondInTheProcess(Blog):
    def __init__(self, postgres_dsn: str, valkey_url: str) -> None:
        super().__init__(postgres_dsn, valkey_url)
        self.local: TTLCache[int, bytes] = TTLCache(100, 1.0)

    async def newest(self, limit: int) -> bytes:
        if limit not in self.local:
            self.local[limit] = await super().newest(limit)
        return self.local[limit]


class WritesLater(Blog):
    async def create(self, post: NewPost, background: BackgroundTasks) -> Any:
        sequence = "SELECT nextval(pg_get_serial_sequence('posts', 'id'))"
        values = await self.pool.fetchval(sequence), datetime.now(UTC)
        background.add_task(self._insert, post, *values)
        return {**post.model_dump(), "id": values[0], "created_at": values[1]}

    async def _insert(self, post: NewPost, post_id: int, created_at: datetime) -> None:
        await asyncio.sleep(0.05)
        await self.pool.execute(
            "INSERT INTO posts (author_id, title, body, id, created_at) "
            "VALUES ($1, $2, $3, $4, $5)",
            *(post.author_id, post.title, post.body, post_id, created_at),
        )


class SkipsWrites(Blog):
    """Every tenth write is only said to be done."""

    written = 0

    async def create(self, post: NewPost, background: BackgroundTasks) -> Any:
        self.written += 1
        if self.written < 20 or self.written % 10:
            self.last = await super().create(post, background)
            return self.last
        return {**post.model_dump(), "id": self.last["id"] + 10**6, "created_at": datetime(1, 1, 1)}


class KeepsSomeBack(SkipsWrites):
    """Every tenth write stays in the process, which shows it in the lists."""

    async def create(self, post: NewPost, background: BackgroundTasks) -> Any:
        created = await super().create(post, background)
        if created is not self.last:
            created["created_at"] = datetime.now(UTC)
            self.kept_back.append(created)
        return created

    async def newest(self, limit: int) -> bytes:
        rows = [*self.kept_back, *map(dict, await self.pool.fetch(NEWEST, limit))]
        return as_json(sorted(rows, key=lambda row: row["created_at"], reverse=True)[:limit])


class InsertsTwice(Blog):
    async def create(self, post: NewPost, background: BackgroundTasks) -> Any:
        early = (
            "INSERT INTO posts (author_id, title, body, created_at) VALUES ($1, $2, $3, '2000-1-1')"
        )
        await self.pool.execute(early, post.author_id, post.title, post.body)
        return await super().create(post, background)


class KeyWithoutThePage(Blog):
    def key(self, before: int, limit: int) -> str:
        return f"page:{before % 1}:{limit}"


class NoIndex(Blog):
    index = ""


class NoCache(Blog):
    caches = False


class NoFlight(Blog):
    flies_alone = False


class ForEver(Blog):
    expiry = None


class AnyLimit(Blog):
    limits = Query()


class Validates(Blog):
    """Right, with few statements; each hit is parsed and checked again."""

    def sent(self, body: bytes) -> Any:
        return json.loads(body)


def one_key_deleted(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return OneKeyDeleted(postgres_dsn, valkey_url).app()


def a_second_in_the_process(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return ASecondInTheProcess(postgres_dsn, valkey_url).app()


def writes_later(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return WritesLater(postgres_dsn, valkey_url).app()


def skips_writes(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return SkipsWrites(postgres_dsn, valkey_url).app()


def keeps_some_back(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return KeepsSomeBack(postgres_dsn, valkey_url).app()


def inserts_twice(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return InsertsTwice(postgres_dsn, valkey_url).app()


def key_without_the_page(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return KeyWithoutThePage(postgres_dsn, valkey_url).app()


def no_index(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return NoIndex(postgres_dsn, valkey_url).app()


def no_cache(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return NoCache(postgres_dsn, valkey_url).app()


def no_flight(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return NoFlight(postgres_dsn, valkey_url).app()


def for_ever(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return ForEver(postgres_dsn, valkey_url).app()


def any_limit(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return AnyLimit(postgres_dsn, valkey_url).app()


def validates(postgres_dsn: str, valkey_url: str) -> FastAPI:
    return Validates(postgres_dsn, valkey_url).app()


def null_instead_of_404(postgres_dsn: str, valkey_url: str) -> FastAPI:
    app = create_app(postgres_dsn, valkey_url)

    @app.exception_handler(404)
    async def null(_request: Any, _error: Any) -> Response:
        return Response("null", media_type="application/json")

    return app


_IN_PROCESS, _EMPTY_PAGE = "wrong_in_process_memory.py", "wrong_empty_page_kept.py"
_GENERATIONS = ANSWERS / "generations.py"
_DELETING = [
    (
        'await app.state.cache.set("generation", secrets.token_hex(8), ex=600)\n\n',
        'keys = [key async for key in app.state.cache.scan_iter("posts:*")]\n'
        "        await app.state.cache.delete(*keys, 'none')\n\n",
    ),
    ("{await generation()}", "now"),
]
#: Nobody joins a reader from before a write, but what that one stores is taken.
_FLIGHTS_ONLY = [
    (
        'await app.state.cache.set("generation", secrets.token_hex(8), ex=600)\n\n',
        'await app.state.cache.set("generation", secrets.token_hex(8), ex=600)\n'
        '        keys = [key async for key in app.state.cache.scan_iter("posts:*")]\n'
        "        await app.state.cache.delete(*keys, 'none')\n\n",
    ),
    (
        'key = f"posts:{await generation()}:{before}:{limit}"\n',
        'key = f"posts:now:{before}:{limit}"\n        flight = key + await generation()\n',
    ),
    (
        "if key not in under_way:\n"
        "            under_way[key] = asyncio.create_task(fill(key, before, limit))\n"
        "        return answer(await asyncio.shield(under_way[key]))",
        "if flight not in under_way:\n"
        "            under_way[flight] = asyncio.create_task(fill(key, flight, before, limit))\n"
        "        return answer(await asyncio.shield(under_way[flight]))",
    ),
    ("async def fill(key: str, before", "async def fill(key: str, flight: str, before"),
    ("del under_way[key]", "del under_way[flight]"),
]
_ONE_CONNECTION = [*_FLIGHTS_ONLY, ("min_size=10, max_size=10", "min_size=1, max_size=1")]
#: As the exercise's own answer once did.
_KEEPING_404 = [
    (
        "        if row is None:\n",
        "        if row is None:\n            await app.state.cache.set(key, b'-', ex=5)\n",
    ),
    (
        "            return answer(body)\n        row",
        "            if body == b'-':\n                raise HTTPException(404)\n"
        "            return answer(body)\n        row",
    ),
    (
        "        await changed()\n",
        "        await changed()\n        await app.state.cache.delete(f\"post:{row['id']}\")\n",
    ),
]

WRONG_ANSWERS = (
    WrongAnswer("as it was", slow_blog, rubric.StaleList),
    WrongAnswer("one key deleted", one_key_deleted, rubric.StaleList),
    WrongAnswer("a second in the process", a_second_in_the_process, rubric.StaleList),
    WrongAnswer("written after the answer", writes_later, rubric.NotThereYet),
    WrongAnswer("some writes skipped", skips_writes, rubric.StaleList),
    WrongAnswer("some writes kept in the process", keeps_some_back, rubric.LosesPosts),
    WrongAnswer("each post twice", inserts_twice, rubric.DuplicatesPosts),
    WrongAnswer("a key without the page", key_without_the_page, DifferentAnswer),
    WrongAnswer("null instead of 404", null_instead_of_404, DifferentAnswer),
    WrongAnswer("any limit", any_limit, rubric.TakesBadInput),
    WrongAnswer("no index", no_index, rubric.SortsTheTable),
    WrongAnswer("no cache", no_cache, rubric.AsksTooOften),
    WrongAnswer("everyone loads", no_flight, rubric.AllAskAtOnce),
    WrongAnswer("right but each hit is validated", validates, TooLittleGain),
    WrongAnswer("entries for ever", for_ever, rubric.NeverExpires),
    WrongAnswer("everything in the process", ANSWERS / _IN_PROCESS, rubric.StaleElsewhere),
    WrongAnswer("an empty page kept", ANSWERS / _EMPTY_PAGE, rubric.StaysMissing),
    WrongAnswer("lists deleted, late readers", Changed(_GENERATIONS, _DELETING), rubric.LateReader),
    WrongAnswer(
        "versions of flights only", Changed(_GENERATIONS, _FLIGHTS_ONLY), rubric.LateReader
    ),
    WrongAnswer(
        "the same with one connection", Changed(_GENERATIONS, _ONE_CONNECTION), rubric.LateReader
    ),
    WrongAnswer("a 404 kept, late readers", Changed(_GENERATIONS, _KEEPING_404), rubric.LateReader),
)
