"""Known wrong answers, each a good one with one thing that learners get wrong."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from cachetools import TTLCache, cached
from fastapi import FastAPI, HTTPException

from course_app.exercises.in_memory_cache import rubric
from course_app.exercises.in_memory_cache.baseline import (
    TAG,
    TOP_AUTHORS,
    Limit,
    Report,
    report_for_each_request,
)
from course_app.exercises.in_memory_cache.right_answers import ANSWERS
from course_app.exercises.in_memory_cache.wrong_stores import (
    CopiesAll,
    Expiring,
    Full,
    Key,
    Sliding,
)
from course_app.grading import Changed, WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

#: Makes a report.
Load = Callable[[int, int], Awaitable[Report]]
#: Gives a report for tag, limit and reader.
Get = Callable[[int, int, int | None], Awaitable[Report]]
Mark = Callable[[Report, int | None], Report]


def _new_list(report: Report, reader: int | None) -> Report:
    authors = [
        {**author, "you": True} if author["id"] == reader else author
        for author in report["authors"]
    ]
    return {**report, "authors": authors}


def _in_place(report: Report, reader: int | None) -> Report:
    for author in report["authors"]:
        if author["id"] == reader:
            author["you"] = True
    return report


def _in_outer_copy(report: Report, reader: int | None) -> Report:
    return _in_place(report.copy(), reader)


def _app(
    postgres_dsn: str, caching: Callable[[Load], Get], mark: Mark = _new_list, errors: bool = True
) -> FastAPI:
    """The same app for all; ``caching`` is what stands between the handler and ``load``."""

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
            if not errors:
                return {"tag": None, "authors": []}
            raise HTTPException(503, "The database has a problem") from None
        if name is None:
            raise HTTPException(404, "No such tag")
        return {"tag": name, "authors": [dict(author) for author in authors]}

    get = caching(load)

    @app.get("/tags/{tag_id}/authors")
    async def top_authors(tag_id: int, limit: Limit = 10, reader: int | None = None) -> Report:
        return mark(await get(tag_id, limit, reader), reader)

    return app


def _by_tag_and_limit(tag_id: int, limit: int, _reader: int | None) -> Key:
    return tag_id, limit


def _single_flight(store: Any, key_of: Callable[..., Key] = _by_tag_and_limit) -> Any:
    """A good cache around any store with ``get`` and item assignment."""

    def caching(load: Load) -> Get:
        under_way: dict[Key, asyncio.Task[Report]] = {}

        async def load_once(key: Key, tag_id: int, limit: int) -> Report:
            try:
                report: Report = await load(tag_id, limit)
                store[key] = report
                return report
            finally:
                del under_way[key]

        async def get(tag_id: int, limit: int, reader: int | None) -> Report:
            key = key_of(tag_id, limit, reader)
            found: Report | None = store.get(key)
            if found is not None:
                return found
            if key not in under_way:
                under_way[key] = asyncio.create_task(load_once(key, tag_id, limit))
            return await asyncio.shield(under_way[key])

        return get

    return caching


def _store(ttl: float = 1) -> TTLCache[Key, Any]:
    return TTLCache(maxsize=20, ttl=ttl)


def key_without_limit(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(_store(), lambda tag_id, *_: (tag_id,)))


def key_with_reader(postgres_dsn: str) -> FastAPI:
    """Nobody's mark leaks, and hardly anybody's report is there."""
    return _app(postgres_dsn, _single_flight(_store(), lambda *asked: asked))


def reader_forgotten(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(_store()), mark=lambda report, _: report)


def marks_in_the_cache(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(_store()), mark=_in_place)


def shallow_copy(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(_store()), mark=_in_outer_copy)


def decorated_coroutine(postgres_dsn: str) -> FastAPI:
    """Works for the first who asks."""

    def caching(load: Load) -> Get:
        remembered = cached(_store())(load)

        async def get(tag_id: int, limit: int, _reader: int | None) -> Report:
            return await remembered(tag_id, limit)

        return get

    return _app(postgres_dsn, caching)


def a_minute_old(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(_store(ttl=60)))


def kept_alive_by_reads(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(Sliding()))


def old_answer_while_fetching(postgres_dsn: str) -> FastAPI:
    """Fast for everybody, and as old as the time since the last reader."""

    def caching(load: Load) -> Get:
        kept: dict[Key, Report] = {}
        fetched: dict[Key, float] = {}
        tasks: set[asyncio.Task[None]] = set()

        async def refresh(key: Key) -> None:
            fetched[key] = time.monotonic()
            kept[key] = await load(*key)

        async def get(tag_id: int, limit: int, _reader: int | None) -> Report:
            key = tag_id, limit
            if key not in kept:
                await refresh(key)
            elif time.monotonic() - fetched[key] > 1:
                tasks.add(task := asyncio.create_task(refresh(key)))
                task.add_done_callback(tasks.discard)
            return kept[key]

        return get

    return _app(postgres_dsn, caching)


def without_single_flight(postgres_dsn: str) -> FastAPI:
    def caching(load: Load) -> Get:
        store = _store()

        async def get(tag_id: int, limit: int, _reader: int | None) -> Report:
            report: Report | None = store.get((tag_id, limit))
            if report is None:
                report = store[tag_id, limit] = await load(tag_id, limit)
            return report

        return get

    return _app(postgres_dsn, caching)


def one_lock_for_all(postgres_dsn: str) -> FastAPI:
    """One fetch for each report, and one at a time of all of them."""
    lock = asyncio.Lock()
    return _locking(postgres_dsn, lambda: lock)


def looked_only_once(postgres_dsn: str) -> FastAPI:
    """A lock for each report, but who has waited for it does not look again."""
    return _locking(postgres_dsn, asyncio.Lock, look_again=False)


def _locking(postgres_dsn: str, new_lock: Callable[[], Any], look_again: bool = True) -> FastAPI:
    def caching(load: Load) -> Get:
        store, locks = _store(), defaultdict[Key, Any](new_lock)

        async def get(tag_id: int, limit: int, _reader: int | None) -> Report:
            key = tag_id, limit
            report: Report | None = store.get(key)
            if report is not None:
                return report
            async with locks[key]:
                if look_again:
                    report = store.get(key)
                if report is None:
                    report = store[key] = await load(*key)
                return report

        return get

    return _app(postgres_dsn, caching)


def tasks_are_kept(postgres_dsn: str) -> FastAPI:
    """Single-flight for nothing: the cache holds tasks. Also those that failed."""

    def caching(load: Load) -> Get:
        store = _store()

        async def get(tag_id: int, limit: int, _reader: int | None) -> Report:
            if (task := store.get((tag_id, limit))) is None:
                task = store[tag_id, limit] = asyncio.ensure_future(load(tag_id, limit))
            return await asyncio.shield(task)

        return get

    return _app(postgres_dsn, caching)


def trouble_looks_empty(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(_store()), errors=False)


def never_removed(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(Expiring()))


def full_for_ever(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(Full()))


def copies_everything(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _single_flight(CopiesAll()))


_LOCKS = ANSWERS / "locks.py"
_BY_TAG = [
    (
        "(found := cache.get(key)) is not None",
        "(found := cache.get(tag_id, {}).get(limit)) is not None",
    ),
    ("(found := cache.get(key)) is None", "(found := cache.get(tag_id, {}).get(limit)) is None"),
    (
        "found = cache[key] = await load(tag_id, limit)",
        "found = await load(tag_id, limit)\n"
        "                cache.setdefault(tag_id, {})[limit] = found",
    ),
]

WRONG_ANSWERS = (
    WrongAnswer("as it was", report_for_each_request, rubric.FetchesAgain, points=0),
    WrongAnswer("the reader in the key", key_with_reader, rubric.FetchesAgain),
    WrongAnswer("no limit in the key", key_without_limit, DifferentAnswer),
    WrongAnswer("@cached around async def", decorated_coroutine, DifferentAnswer),
    WrongAnswer("no marks any more", reader_forgotten, DifferentAnswer),
    WrongAnswer("marks in the cache", marks_in_the_cache, rubric.MarksForStrangers),
    WrongAnswer("a shallow copy", shallow_copy, rubric.MarksForStrangers),
    WrongAnswer("a minute old", a_minute_old, rubric.TooOld),
    WrongAnswer("kept alive by reads", kept_alive_by_reads, rubric.TooOld),
    WrongAnswer("old answers while fetching", old_answer_while_fetching, rubric.TooOld),
    WrongAnswer("a cache without single-flight", without_single_flight, rubric.Stampedes),
    WrongAnswer("looked only once", looked_only_once, rubric.Stampedes),
    WrongAnswer("one lock for all", one_lock_for_all, rubric.OneAtATime),
    WrongAnswer("copies everything", copies_everything, TooLittleGain),
    WrongAnswer("failed tasks are kept", tasks_are_kept, rubric.KeepsErrors),
    WrongAnswer("trouble looks empty", trouble_looks_empty, rubric.HidesErrors),
    WrongAnswer("never removed", never_removed, rubric.KeepsEverything),
    WrongAnswer("full for ever", full_for_ever, rubric.StopsCaching),
    WrongAnswer(
        "fifty reports", Changed(_LOCKS, [("maxsize=20", "maxsize=50")]), rubric.KeepsEverything
    ),
    WrongAnswer("twenty tags, any limits", Changed(_LOCKS, _BY_TAG), rubric.KeepsEverything),
    WrongAnswer(
        "a report for every tag",
        Changed(ANSWERS / "slices.py", [("maxsize=20", 'maxsize=float("inf")')]),
        rubric.KeepsEverything,
    ),
    WrongAnswer(
        "the old report when the database fails",
        ANSWERS / "wrong_stale_if_error.py",
        rubric.HidesErrors,
    ),
)
