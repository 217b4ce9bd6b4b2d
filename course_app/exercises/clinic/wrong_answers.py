"""Known wrong answers: half a cure, a cure of the healthy, and cures that only look like one."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import anyio.to_thread
import asyncpg
import httpx
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from course_app.apps.patients import PLANTS, made_of, patient_of
from course_app.exercises.clinic import diagnosis, reference, repairs, rubric
from course_app.exercises.clinic.right_answers import (
    FINDINGS,
    REFERENCE,
    SEED,
    findings_for,
    handed_in,
)
from course_app.grading import Changed, WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

T = TypeVar("T")


def as_it_was(postgres_dsn: str) -> FastAPI:
    return made_of(patient_of(SEED).source, postgres_dsn)


def answers_remembered(postgres_dsn: str) -> FastAPI:
    app, known = as_it_was(postgres_dsn), dict[str, Response]()

    @app.middleware("http")
    async def remember(request: Request, call_next: RequestResponseEndpoint) -> Response:
        page = str(request.url)
        if page not in known:
            answer: Any = await call_next(request)
            body = b"".join([part async for part in answer.body_iterator])
            known[page] = Response(body, answer.status_code, media_type="application/json")
        return known[page]

    return app


def limits_raised(postgres_dsn: str) -> FastAPI:
    """More connections and more threads, for requests that did not wait for either."""
    app = as_it_was(postgres_dsn)
    found = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 100
        async with (
            found(app),
            asyncpg.create_pool(postgres_dsn, min_size=20, max_size=20) as app.state.pool,
        ):
            yield

    app.router.lifespan_context = lifespan
    return app


class Worker:
    """A copy of the app on a thread and an event loop of its own."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://worker"
        )
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        life = self._app.router.lifespan_context(self._app)
        await self._call(life.__aenter__())
        yield
        await self._call(life.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def ask(self, path: str) -> httpx.Response:
        return await self._call(self._client.get(path))

    async def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


def workers_added(postgres_dsn: str) -> FastAPI:
    """Four copies of what is slow."""
    workers = [Worker(as_it_was(postgres_dsn)) for _ in range(4)]
    turns = itertools.cycle(workers)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker.running())
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/{path:path}")
    async def pass_on(request: Request) -> Response:
        answer = await next(turns).ask(f"{request.url.path}?{request.url.query}")
        return Response(answer.content, answer.status_code, media_type="application/json")

    return app


def _values(**changed: Any) -> Mapping[str, Any]:
    return {"seed": SEED, "findings": FINDINGS, **changed}


def _left(cause: str) -> Changed:
    """All is mended but that one cause, for the first seed that plants it."""
    (plant,) = (plant for plant in PLANTS if plant.cause == cause)
    seed = next(n for n in itertools.count(1) if plant in patient_of(n).plants)
    return handed_in(REFERENCE, plant.changes, seed)


_ROWS_AT_ONCE = [
    (
        reference.NEWEST.join(['"""'] * 2),
        '"SELECT id, title, author_id FROM posts ORDER BY id DESC LIMIT $1"\n'
        'AUTHOR = "SELECT name FROM users WHERE id = $1"',
    ),
    (
        "        return [dict(row) for row in await app.state.pool.fetch(NEWEST, limit)]\n",
        "        rows = await app.state.pool.fetch(NEWEST, limit)\n"
        '        names = (app.state.pool.fetchval(AUTHOR, row["author_id"]) for row in rows)\n'
        '        return [{"id": row["id"], "title": row["title"], "author": name}\n'
        "                for row, name in zip(rows, await asyncio.gather(*names))]\n",
    ),
]
_PRICES_REMEMBERED = [
    (
        "def customer(",
        "known = {}\n\n\n"
        "async def remembered(article):\n"
        "    if article not in known:\n"
        "        known[article] = await list_price_async(article)\n"
        "    return known[article]\n\n\n"
        "def customer(",
    ),
    ("*(list_price_async(", "*(remembered("),
]
_SHORT_PAGES = [("WHERE post_id = $1 ORDER BY id", "WHERE post_id = $1 ORDER BY id LIMIT 2")]
_ALL_USERS_READ = [
    ("FROM posts p", "FROM (SELECT * FROM posts ORDER BY id DESC LIMIT $1) p"),
    ("ON u.id = p.author_id", "ON u.id::text = p.author_id::text"),
]

WRONG_ANSWERS = (
    WrongAnswer("as it was", as_it_was, repairs.AsksForEachRow, _values()),
    WrongAnswer(
        "the false trail mended, and accused",
        Changed(
            REFERENCE,
            [
                (' | {"body": re.sub(r"[ \\t]+", " ", post["body"])}', ""),
                ('"connection_per_request": "read_user"', '"slow_serialization": "read_post"'),
            ],
        ),
        diagnosis.FalseTrail,
    ),
    WrongAnswer(
        "one of two: the rows' queries are left", _left("n_plus_one"), repairs.AsksForEachRow
    ),
    WrongAnswer("one of two: no index", _left("missing_index"), repairs.ReadsTheTable),
    WrongAnswer("one of two: still connects", _left("connection_per_request"), repairs.Connects),
    WrongAnswer("one of two: awaits in turn", _left("sequential_awaits"), repairs.AwaitsInTurn),
    WrongAnswer("one of two: still blocks", _left("blocked_loop"), repairs.BlocksTheLoop),
    WrongAnswer(
        "one of two: no type for the answer", _left("slow_serialization"), repairs.EncodesCallByCall
    ),
    WrongAnswer(
        "a query for each row, at once", handed_in(REFERENCE, _ROWS_AT_ONCE), repairs.AsksForEachRow
    ),
    WrongAnswer("limits raised", limits_raised, repairs.AsksForEachRow, _values()),
    WrongAnswer("workers added", workers_added, repairs.AsksForEachRow, _values()),
    WrongAnswer("answers remembered", answers_remembered, rubric.StaleAnswer, _values()),
    WrongAnswer("prices remembered", handed_in(REFERENCE, _PRICES_REMEMBERED), rubric.StaleAnswer),
    WrongAnswer("two comments are enough", handed_in(REFERENCE, _SHORT_PAGES), DifferentAnswer),
    WrongAnswer(
        "one statement that reads all users", handed_in(REFERENCE, _ALL_USERS_READ), TooLittleGain
    ),
    WrongAnswer(
        "the causes of another seed",
        reference.create_app,
        diagnosis.WrongCause,
        _values(findings=findings_for(4)),
    ),
    WrongAnswer(
        "another place named",
        reference.create_app,
        diagnosis.WrongPlace,
        _values(findings={**FINDINGS, "n_plus_one": "read_comments"}),
    ),
    WrongAnswer(
        "a cause of one's own",
        reference.create_app,
        diagnosis.NotOnTheList,
        _values(findings={"n_plus_one": "newest", "regular_expression": "read_post"}),
    ),
    WrongAnswer(
        "one finding",
        reference.create_app,
        diagnosis.NoFindings,
        _values(findings={"n_plus_one": "newest"}),
    ),
    WrongAnswer("no seed", reference.create_app, diagnosis.NoSeed, _values(seed=None)),
)
