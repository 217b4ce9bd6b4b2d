"""The bookshop as it may fall ill: a seed draws two causes and something that only looks like one.

A cause is a few lines of the healthy source that are others. So what a learner reads is one
ordinary file, and nothing in it says where it was changed.
"""

import inspect
import linecache
import random
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from fastapi import FastAPI

from course_app.apps import bookshop
from course_app.changes import Changes, changed

#: What tracebacks and profiles call a patient's file: a place of its own, so that tools take its
#: functions for the app's.
FILE = str(Path.cwd() / "patient.py")


@dataclass(frozen=True)
class Plant:
    """A cause, and what it makes of the healthy source.

    ``where`` are the functions that may be named as its place: the handler first, then what it
    calls.
    """

    cause: str
    where: tuple[str, ...]
    changes: Changes


@dataclass(frozen=True)
class Trail:
    """What looks guilty and costs nothing that matters.

    ``rumour`` is what people say of it; ``where`` is the function that it stands in. Beside the
    cause in ``unless`` it may be true on some machine, so they are not drawn together.
    """

    where: str
    rumour: str
    changes: Changes
    unless: str = ""


@dataclass(frozen=True)
class Patient:
    """What a seed has drawn; looking into it is giving up."""

    plants: tuple[Plant, Plant]
    trail: Trail

    @property
    def complaint(self) -> str:
        """What its owners say."""
        return f"Some of our pages are slow, others are not. {self.trail.rumour}"

    @property
    def source(self) -> str:
        """The app as it is found: a Python file with ``create_app(postgres_dsn)``."""
        first, second = self.plants
        return changed(HEALTHY, [*first.changes, *second.changes, *self.trail.changes])


HEALTHY = inspect.getsource(bookshop)

PLANTS = (
    Plant(
        "n_plus_one",
        ("newest", "shown"),
        (
            (
                bookshop.NEWEST.join(['"""'] * 2),
                '"SELECT id, title, author_id FROM posts ORDER BY id DESC LIMIT $1"\n'
                'AUTHOR = "SELECT name FROM users WHERE id = $1"',
            ),
            (
                '    @app.get("/newest")\n',
                "    async def shown(row: asyncpg.Record) -> dict[str, Any]:\n"
                '        author = await app.state.pool.fetchval(AUTHOR, row["author_id"])\n'
                '        return {"id": row["id"], "title": row["title"], "author": author}\n\n'
                '    @app.get("/newest")\n',
            ),
            (
                "        return [dict(row) for row in await app.state.pool.fetch(NEWEST, limit)]\n",
                "        rows = await app.state.pool.fetch(NEWEST, limit)\n"
                "        return [await shown(row) for row in rows]\n",
            ),
        ),
    ),
    Plant(
        "missing_index",
        ("read_comments",),
        (('    "CREATE INDEX IF NOT EXISTS comments_post ON comments (post_id)",\n', ""),),
    ),
    Plant(
        "connection_per_request",
        ("read_user", "connected"),
        (
            (
                "def create_app(postgres_dsn: str) -> FastAPI:\n",
                "@asynccontextmanager\n"
                "async def connected(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:\n"
                "    connection = await asyncpg.connect(postgres_dsn)\n"
                "    try:\n"
                "        yield connection\n"
                "    finally:\n"
                "        await connection.close()\n\n\n"
                "def create_app(postgres_dsn: str) -> FastAPI:\n",
            ),
            ("app.state.pool.acquire() as connection", "connected(postgres_dsn) as connection"),
        ),
    ),
    Plant(
        "sequential_awaits",
        ("read_offers", "list_price_async"),
        (
            ("import asyncio\n", ""),
            (
                "await asyncio.gather(*(list_price_async(number) for number in numbers))",
                "[await list_price_async(number) for number in numbers]",
            ),
        ),
    ),
    Plant(
        "blocked_loop",
        ("read_order", "customer", "load_session"),
        (("def customer(token: str)", "async def customer(token: str)"),),
    ),
    Plant(
        "slow_serialization",
        ("read_members",),
        (
            ("from pydantic import BaseModel\n", ""),
            (f"{inspect.getsource(bookshop.Member)}\n\n", ""),
            (
                '"/members", response_model=list[Member])\n'
                "    async def read_members(after: int = 0) -> Any:",
                '"/members")\n    async def read_members(after: int = 0):',
            ),
        ),
    ),
)

_FIRST_FROM = "from collections.abc import AsyncIterator\n"
_READS_POST = "        return found(await app.state.pool.fetchrow(POST, post_id))\n"

TRAILS = (
    Trail(
        "lifespan",
        "Somebody has left a sleep in the code, and everybody says that this blocks the loop.",
        (
            (_FIRST_FROM, f"import time\n{_FIRST_FROM}"),
            (
                "            for index in INDICES:\n",
                "            time.sleep(0.2)  # until PostgreSQL is really awake\n"
                "            for index in INDICES:\n",
            ),
        ),
    ),
    Trail(
        "lifespan",
        "The pool has four connections only, and everybody says that it should have a hundred.",
        (),
        unless="missing_index",
    ),
    Trail(
        "read_post",
        "There is a regular expression over whole posts, and everybody says that it is the reason.",
        (
            (_FIRST_FROM, f"import re\n{_FIRST_FROM}"),
            (
                _READS_POST,
                "        post = found(await app.state.pool.fetchrow(POST, post_id))\n"
                '        return post | {"body": re.sub(r"[ \\t]+", " ", post["body"])}\n',
            ),
        ),
    ),
    Trail(
        "read_post",
        "It keeps all the posts that were seen, and everybody says that it has a memory leak.",
        (
            (_FIRST_FROM, f"from collections import deque\n{_FIRST_FROM}"),
            ("(lifespan=lifespan)\n", "(lifespan=lifespan)\n    seen = deque[int](maxlen=1000)\n"),
            (_READS_POST, f"        seen.append(post_id)\n{_READS_POST}"),
        ),
    ),
)


def patient_of(seed: int | str) -> Patient:
    """What that seed draws."""
    draw = random.Random(f"clinic {seed}")
    first, second = draw.sample(PLANTS, 2)
    causes = (first.cause, second.cause)
    return Patient((first, second), draw.choice([t for t in TRAILS if t.unless not in causes]))


def made_of(source: str, postgres_dsn: str) -> FastAPI:
    """The app of a patient's source."""
    module = ModuleType("patient")
    # so that tracebacks and profiles show its lines
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    exec(compile(source, FILE, "exec"), vars(module))
    app: FastAPI = module.create_app(postgres_dsn)
    return app
