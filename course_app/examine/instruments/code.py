"""Whose code a frame runs, and what a library's frames say about what is waited for."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from course_app.serving import frames
from course_app.serving.excerpt import is_own

#: A frame without the frame: its code and the line that runs.
Step = tuple[CodeType, int]

_MOST_STEPS = 200


@lru_cache(maxsize=10_000)
def users(code: CodeType) -> bool:
    """Whether the user wrote it: no library, nor anything that was made at run time."""
    # Cython names its files by relative paths.
    return os.path.isabs(code.co_filename) and is_own(code.co_filename)


@lru_cache(maxsize=10_000)
def runs_on_the_loop(code: CodeType) -> bool:
    """Whether it is a coroutine or an asynchronous generator."""
    return bool(code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR))


def stack(frame: FrameType | None) -> list[Step]:
    """The steps of a running frame, from the innermost out."""
    steps: list[Step] = []
    while frame is not None and len(steps) < _MOST_STEPS:
        steps.append(_step(frame))
        frame = frame.f_back
    return steps


def awaited(coroutine: Any) -> list[Step]:
    """The steps of a suspended coroutine and of all that it awaits, from the innermost out."""
    steps = [_step(frame) for frame in islice(frames.awaited(coroutine), _MOST_STEPS)]
    steps.reverse()
    return steps


def _step(frame: FrameType) -> Step:
    return frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno


def innermost_of_user(steps: Sequence[Step]) -> int | None:
    """The index of the user's innermost step."""
    return next((i for i, (code, _) in enumerate(steps) if users(code)), None)


#: What is waited for, by a part of a file's path and of a function's name; the first that fits
#: any of the steps inside of the user's own counts, from the innermost out.
_WAITS: tuple[tuple[str, str, str], ...] = (
    ("anyio/", "CapacityLimiter", "token"),
    ("anyio/", "run_sync_in_worker_thread", "thread"),
    ("asyncio/threads", "to_thread", "thread"),
    ("asyncpg/connect_utils", "", "connect"),
    ("asyncpg/pool", "acquire", "pool"),
    ("asyncpg/", "", "sql"),
    ("psycopg_pool/", "getconn", "pool"),
    ("psycopg_pool/", "", "pool"),
    ("psycopg/", "connect", "connect"),
    ("psycopg/", "", "sql"),
    ("sqlalchemy/pool/", "_do_get", "pool"),
    ("sqlalchemy/util/queue", "get", "pool"),
    ("sqlalchemy/", "", "sql"),
    ("redis/asyncio/connection", "BlockingConnectionPool", "pool"),
    ("redis/asyncio/connection", "connect", "connect"),
    ("redis/", "", "redis"),
    ("valkey/", "", "redis"),
    ("httpcore/", "wait_for_connection", "pool"),
    ("httpcore/", "connect_tcp", "connect"),
    ("httpcore/", "", "http"),
    ("httpx/", "", "http"),
    ("aiohttp/connector", "_wait_for_available_connection", "pool"),
    ("aiohttp/connector", "_create_connection", "connect"),
    ("aiohttp/", "", "http"),
    ("motor/", "", "mongo"),
    ("pymongo/", "checkout", "pool"),
    ("pymongo/", "", "mongo"),
    ("aiomysql/pool", "acquire", "pool"),
    ("asyncio/locks", "Event.wait", "event"),
    ("asyncio/locks", "", "lock"),
    ("anyio/", "Lock.", "lock"),
    ("anyio/", "Semaphore.", "lock"),
    ("anyio/", "Condition.", "lock"),
    ("asyncio/queues", "get", "queue"),
    ("asyncio/tasks", "sleep", "sleep"),
    ("anyio/", "sleep", "sleep"),
    ("asyncio/streams", "open_connection", "connect"),
    ("asyncio/streams", "", "stream"),
    ("anyio/streams/memory", "", "stream"),
    ("starlette/requests", "", "body"),
    ("uvicorn/", "receive", "body"),
)

#: Locks that wait inside of something that says more about it.
_PLAIN = {"lock", "event", "queue", "sleep", "stream"}


@lru_cache(maxsize=10_000)
def _wait(code: CodeType) -> str:
    file = code.co_filename
    for path, name, what in _WAITS:
        if path in file and name in code.co_qualname:
            return what
    return ""


def waits_for(steps: Sequence[Step]) -> str:
    """What library steps wait for, from the innermost out; ``future`` if they do not say.

    A lock inside a pool is the pool's; so the outermost that says more than a plain lock counts.
    """
    said = [what for code, _ in steps if (what := _wait(code))]
    if not said:
        return "future" if not steps else "other"
    if "token" in said:
        return "token"
    for what in said:
        if what == "connect":
            return "connect"
    telling = [what for what in said if what not in _PLAIN]
    if said[0] == "queue" and telling:  # SQLAlchemy's pool waits in a greenlet, out of sight
        return "pool"
    return telling[0] if telling else said[0]


#: Where statements are carried out; an object's attributes are read elsewhere.
_FETCHES = ("/sqlalchemy/engine/", "/asyncpg/", "/psycopg/", "/psycopg2/", "/redis/asyncio/")

#: What computing is for, likewise. ``typed``: by pydantic's own code, whose types were declared.
_WORK: tuple[tuple[str, str, str], ...] = (
    ("fastapi/encoders", "", "serialize"),
    ("json/", "", "serialize"),
    ("starlette/responses", ".render", "serialize"),
    ("fastapi/responses", ".render", "serialize"),
    ("pydantic/", "dump_json", "typed"),  # in one go, by whoever cured it
    ("pydantic/", "model_dump", "serialize"),
    ("pydantic/", "dump_", "serialize"),
    ("pydantic/deprecated", "", "serialize"),
    ("simplejson/", "", "serialize"),
    ("marshmallow/", "dump", "serialize"),
    ("fastapi/_compat", "serialize", "typed"),
    ("fastapi/_compat", "validate", "typed"),
    ("fastapi/routing", "serialize_response", "typed"),
    ("pydantic/", "", "typed"),
    ("gzip.py", "", "compress"),
    ("zlib", "", "compress"),
    ("brotli", "", "compress"),
    ("zstd", "", "compress"),
    ("bz2.py", "", "compress"),
    ("lzma.py", "", "compress"),
    ("starlette/middleware/gzip", "apply_compression", "compress"),
    ("brotli_asgi", "", "compress"),
)


@lru_cache(maxsize=10_000)
def _work(code: CodeType) -> str:
    for path, name, what in _WORK:
        if path in code.co_filename and name in code.co_qualname:
            return what
    return ""


def works_on(steps: Sequence[Step]) -> str:
    """What is computed, from the innermost library step out up to the user's; else empty.

    A database's library that an encoder calls (lazy loading) is fetching, not writing.
    """
    for code, _ in steps:
        if any(part in code.co_filename for part in _FETCHES):
            return ""
        if what := _work(code):
            return what
        if users(code):
            return ""
    return ""
