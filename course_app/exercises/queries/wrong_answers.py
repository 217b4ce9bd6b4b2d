"""Known wrong answers, each a good one with one thing that learners get wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, Query

from course_app.exercises.queries import pages, rubric
from course_app.exercises.queries.baseline import AUTHOR, PAGE, TAGS, slow_report
from course_app.exercises.queries.reference import INDEX, cursor_of, place_of
from course_app.exercises.queries.right_answers import ANSWERS
from course_app.grading import Changed, WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

Limit = Annotated[int, Query(ge=1, le=100)]
COLUMNS = "id, title, author_id, created_at"
TIME = "coalesce($2::timestamptz, 'infinity')"
AFTER = f"(created_at, id) < ({TIME}, coalesce($3::bigint, 9223372036854775807))"
NEWEST = "ORDER BY created_at DESC, id DESC LIMIT $1"
PAGE_AFTER = f"SELECT {COLUMNS} FROM posts WHERE {AFTER} {NEWEST}"
NAMES = """ARRAY(SELECT tags.name FROM post_tags JOIN tags ON tags.id = post_tags.tag_id
    WHERE post_tags.post_id = p.id ORDER BY tags.name)"""

Posts = list[dict[str, Any]]
Load = Callable[[asyncpg.Pool, int, str | None], Any]


def _app(postgres_dsn: str, load: Load, index: str | None = INDEX, limit: Any = Limit) -> FastAPI:
    """The same app for all; ``load`` makes a page, ``index`` is created at the start."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            if index:
                await app.state.pool.execute(index)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/report")
    async def report(limit: limit = 20, cursor: str | None = None) -> dict[str, Any]:
        posts, after = await load(app.state.pool, limit, cursor)
        return {"posts": posts, "next": after}

    return app


def _with_names(page: str, columns: str = "p.id, p.title, p.created_at", tags: str = NAMES) -> str:
    return f"""SELECT {columns}, users.name AS author, {tags} AS tags
        FROM ({page}) AS p LEFT JOIN users ON users.id = p.author_id
        ORDER BY p.created_at DESC, p.id DESC"""


def _post(row: asyncpg.Record) -> dict[str, Any]:
    return {field: row[field] for field in ("id", "title", "author", "tags")}


def _next(rows: list[asyncpg.Record], limit: int) -> str | None:
    return None if len(rows) < limit else cursor_of(rows[-1])


def _one_query(query: str, place: Callable[[str | None], tuple[Any, ...]] = place_of) -> Load:
    async def load(pool: asyncpg.Pool, limit: int, cursor: str | None) -> tuple[Posts, str | None]:
        rows = await pool.fetch(query, limit, *place(cursor))
        return [_post(row) for row in rows], _next(rows, limit)

    return load


def offset_with_index(postgres_dsn: str) -> FastAPI:
    """Fast enough on the first pages, and it was asked for: but the pages move."""
    query = _with_names(PAGE.replace("*", COLUMNS))

    async def load(pool: asyncpg.Pool, limit: int, cursor: str | None) -> tuple[Posts, str | None]:
        rows = await pool.fetch(query, limit, int(cursor or 0))
        after = str(int(cursor or 0) + limit) if len(rows) == limit else None
        return [_post(row) for row in rows], after

    return _app(postgres_dsn, load)


def cursor_is_a_time(postgres_dsn: str) -> FastAPI:
    page = f"SELECT {COLUMNS} FROM posts WHERE created_at < {TIME} {NEWEST}"
    query = _with_names(page)
    return _app(postgres_dsn, _one_query(query, lambda cursor: place_of(cursor)[:1]))


def cursor_is_an_id(postgres_dsn: str) -> FastAPI:
    """Looks the last post up again, which works until it is deleted."""
    page = f"""SELECT {COLUMNS} FROM posts WHERE $2::bigint IS NULL OR
        (created_at, id) < (SELECT created_at, id FROM posts WHERE id = $2) {NEWEST}"""
    query = _with_names(page)
    return _app(postgres_dsn, _one_query(query, lambda cursor: place_of(cursor)[1:]))


def posts_without_tags_left_out(postgres_dsn: str) -> FastAPI:
    page = PAGE_AFTER.replace("FROM posts WHERE", "FROM posts AS q WHERE").replace(
        "WHERE", "WHERE EXISTS (SELECT FROM post_tags WHERE post_id = q.id) AND"
    )
    return _app(postgres_dsn, _one_query(_with_names(page)))


def read_at_the_start(postgres_dsn: str) -> FastAPI:
    """Everything in memory: no statement, no buffer, stable pages."""
    rows: list[asyncpg.Record] = []

    async def load(pool: asyncpg.Pool, limit: int, cursor: str | None) -> tuple[Posts, str | None]:
        if not rows:
            rows.extend(await pool.fetch(_with_names(PAGE_AFTER), 2000, None, None))
        start = int(cursor or 0)
        return [_post(row) for row in rows[start : start + limit]], str(start + limit)

    return _app(postgres_dsn, load)


def still_n_plus_one(postgres_dsn: str) -> FastAPI:
    async def load(pool: asyncpg.Pool, limit: int, cursor: str | None) -> tuple[Posts, str | None]:
        async with pool.acquire() as conn:
            rows = await conn.fetch(PAGE_AFTER, limit, *place_of(cursor))
            return [await _filled(conn, row) for row in rows], _next(rows, limit)

    return _app(postgres_dsn, load)


def gather_over_the_pool(postgres_dsn: str) -> FastAPI:
    async def load(pool: asyncpg.Pool, limit: int, cursor: str | None) -> tuple[Posts, str | None]:
        rows = await pool.fetch(PAGE_AFTER, limit, *place_of(cursor))
        posts = await asyncio.gather(*(_filled(pool, row) for row in rows))
        return list(posts), _next(rows, limit)

    return _app(postgres_dsn, load)


async def _filled(database: Any, row: asyncpg.Record) -> dict[str, Any]:
    author = await database.fetchval(AUTHOR.replace("*", "name"), row["author_id"])
    tags = await database.fetch(TAGS.replace("tags.*", "tags.name"), row["id"])
    names = [tag["name"] for tag in tags]
    return {"id": row["id"], "title": row["title"], "author": author, "tags": names}


def no_index(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _one_query(_with_names(PAGE_AFTER)), index=None)


def index_on_the_wrong_column(postgres_dsn: str) -> FastAPI:
    index = "CREATE INDEX IF NOT EXISTS posts_author ON posts (author_id)"
    return _app(postgres_dsn, _one_query(_with_names(PAGE_AFTER)), index=index)


def filter_instead_of_a_place(postgres_dsn: str) -> FastAPI:
    """The same condition written out; no index can jump to it."""
    written_out = (
        """(created_at < coalesce($2::timestamptz, 'infinity') OR created_at = $2 AND id < $3)"""
    )
    page = f"SELECT {COLUMNS} FROM posts WHERE {written_out} {NEWEST}"
    return _app(postgres_dsn, _one_query(_with_names(page)))


def all_columns(postgres_dsn: str) -> FastAPI:
    query = _with_names(PAGE_AFTER.replace(COLUMNS, "*"), columns="p.*")
    return _app(postgres_dsn, _one_query(query))


def a_pool_for_each_request(postgres_dsn: str) -> FastAPI:
    """The right query, once; what it gains is spent on connections."""
    page = _one_query(_with_names(PAGE_AFTER))

    async def load(_pool: asyncpg.Pool, limit: int, cursor: str | None) -> Any:
        async with asyncpg.create_pool(postgres_dsn, min_size=5, max_size=5) as own:
            return await page(own, limit, cursor)

    return _app(postgres_dsn, load)


def any_limit(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _one_query(_with_names(PAGE_AFTER)), limit=int)


def any_cursor(postgres_dsn: str) -> FastAPI:
    def place(cursor: str | None) -> tuple[Any, ...]:
        if cursor is None:
            return None, None
        created_at, _, number = cursor.rpartition("_")
        return datetime.fromisoformat(created_at), int(number)

    return _app(postgres_dsn, _one_query(_with_names(PAGE_AFTER), place))


_LATERAL = ANSWERS / "lateral_join.py"
_SECONDS = [
    ("{row['created_at'].isoformat()}", "{int(row['created_at'].timestamp())}"),
    ("datetime.fromisoformat(stamp)", "datetime.fromtimestamp(int(stamp), UTC)"),
]
_COMMAS = [
    ("coalesce(array_agg(tags.name ORDER BY tags.name), '{}')", "string_agg(tags.name, ',')"),
    ('r["tags"]', '(r["tags"] or "").split(",") if r["tags"] else []'),
]
_LAST = [
    ("        posts = [", "        last = rows[-1]\n        posts = ["),
    ("encode(rows[-1]) if", "encode(last) if"),
]
_FULL = "if len(rows) == limit else None"

WRONG_ANSWERS = (
    WrongAnswer("as it was", slow_report, rubric.UnstablePages),
    WrongAnswer("an index, one query, and OFFSET", offset_with_index, rubric.UnstablePages),
    WrongAnswer("the id as cursor", cursor_is_an_id, rubric.UnstablePages),
    WrongAnswer("the time as cursor", cursor_is_a_time, rubric.LosesPosts),
    WrongAnswer("posts without tags left out", posts_without_tags_left_out, DifferentAnswer),
    WrongAnswer("read at the start", read_at_the_start, rubric.StaleAnswer),
    WrongAnswer("a query for each post", still_n_plus_one, rubric.TooManyStatements),
    WrongAnswer("gather over the pool", gather_over_the_pool, rubric.TooManyStatements),
    WrongAnswer("no index", no_index, rubric.ReadsTheTable),
    WrongAnswer("an index nobody uses", index_on_the_wrong_column, rubric.ReadsTheTable),
    WrongAnswer("a filter in place of a place", filter_instead_of_a_place, rubric.ReadsWhatItSkips),
    WrongAnswer("SELECT *", all_columns, rubric.CarriesBodies),
    WrongAnswer("a pool for each request", a_pool_for_each_request, TooLittleGain),
    WrongAnswer("any limit", any_limit, rubric.NoLimit),
    WrongAnswer("any cursor", any_cursor, rubric.TakesAnyCursor),
    WrongAnswer("a cursor in whole seconds", Changed(_LATERAL, _SECONDS), rubric.LosesPosts),
    WrongAnswer(
        "an id beyond bigint is a 500",
        Changed(_LATERAL, [("is None or not 0 < number < 2**63", "is None")]),
        rubric.TakesAnyCursor,
    ),
    WrongAnswer(
        "a time before the year 1 is a 500",
        Changed(_LATERAL, [("(ValueError, OverflowError)", "ValueError")]),
        rubric.TakesAnyCursor,
    ),
    WrongAnswer("the empty page is a 500", Changed(_LATERAL, _LAST), pages.NoEnd),
    WrongAnswer(
        "a next on a page that is not full",
        Changed(_LATERAL, [(_FULL, "if rows else None")]),
        pages.NoEnd,
    ),
    WrongAnswer("always a next", Changed(_LATERAL, [(_FULL, "if rows else cursor")]), pages.NoEnd),
    WrongAnswer("tags parted at commas", Changed(_LATERAL, _COMMAS), DifferentAnswer),
)
