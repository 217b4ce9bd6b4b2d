import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import psycopg
import pytest
import redis
import redis.asyncio
from asyncpg import connect_utils
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from opentelemetry import trace as opentelemetry_trace
from pydantic import BaseModel
from starlette.responses import JSONResponse

from course_app.load import Generator, as_workload, get
from course_app.measure.instrument import instrumented
from course_app.measure.spans import Span
from course_app.measure.trace import Trace, trace
from course_app.services import Services
from course_app.serving import AppFailedToStart, ThreadServer

POSTS = 50


class Item(BaseModel):
    number: int


def make_app(services: Services) -> FastAPI:
    """Endpoints that each ask others in one way."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(services.postgres_dsn, min_size=1, max_size=4) as pool:
            app.state.pool = pool
            app.state.valkey = redis.asyncio.from_url(services.valkey_url)
            yield
            await app.state.valkey.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/n-plus-one")
    async def n_plus_one(request: Request) -> list[Item]:
        pool: asyncpg.Pool = request.app.state.pool
        rows = await pool.fetch(f"SELECT number FROM generate_series(1, {POSTS}) AS number")
        return [Item(number=await pool.fetchval("SELECT $1::int", row[0])) for row in rows]

    @app.get("/connects")
    async def connects() -> Item:
        connection = await asyncpg.connect(services.postgres_dsn)
        try:
            return Item(number=await connection.fetchval("SELECT 1"))
        finally:
            await connection.close()

    @app.get("/psycopg")
    async def with_psycopg() -> Item:
        async with await psycopg.AsyncConnection.connect(services.postgres_dsn) as connection:
            row = await (await connection.execute("SELECT 42")).fetchone()
            assert row is not None
            return Item(number=row[0])

    @app.get("/cached")
    async def cached(request: Request, tasks: BackgroundTasks):  # no type: a plain answer
        valkey: redis.asyncio.Redis = request.app.state.valkey
        await valkey.set("trace", "1")
        value = await valkey.get("trace")
        tasks.add_task(asyncio.sleep, 0.01)
        return {"value": value, "padding": list(range(500))}

    @app.get("/calls/{port}")
    async def calls(port: int) -> Item:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/")
        return Item(number=answer.json()["number"])

    @app.get("/gathers")
    async def gathers(request: Request) -> Item:
        pool: asyncpg.Pool = request.app.state.pool
        await asyncio.gather(*(pool.execute("SELECT pg_sleep(0.01)") for _ in range(4)))
        return Item(number=4)

    @app.get("/breaks")
    async def breaks(request: Request) -> Item:
        try:
            return Item(number=await request.app.state.pool.fetchval("SELECT no_such_column"))
        except asyncpg.PostgresError as error:
            raise HTTPException(500) from error

    return app


@pytest.fixture(scope="module")
def app(services: Services) -> FastAPI:
    return make_app(services)


@pytest.fixture(scope="module")
def generator() -> Iterator[Generator]:
    with Generator() as made:
        yield made


def trace_of(generator: Generator, app: FastAPI, path: str) -> Trace:
    return trace(generator, app, as_workload(get(path)))


def test_n_plus_one_shows_one_span_for_each_statement(generator: Generator, app: FastAPI) -> None:
    result = trace_of(generator, app, "/n-plus-one")
    repeated = [span for span in result.of_kind("sql") if span.statement == "SELECT $1::int"]
    assert len(repeated) == POSTS
    assert result.counts["sql"] == POSTS + 1
    assert f"{POSTS + 1} SQL statements" in result.message


def test_what_a_pool_sends_when_it_takes_a_connection_back_is_no_statement_of_the_app(
    generator: Generator, app: FastAPI
) -> None:
    result = trace_of(generator, app, "/n-plus-one")
    assert result.counts["reset"] == POSTS + 1


def test_spans_are_nested_in_the_handler_and_the_handler_in_the_request(
    generator: Generator, app: FastAPI
) -> None:
    result = trace_of(generator, app, "/n-plus-one")
    (handler,) = result.of_kind("handler")
    assert (result.spans[0].kind, result.spans[0].name) == ("request", "GET /n-plus-one")
    assert handler.parent == 0
    assert {result.spans[span.parent or 0] for span in result.of_kind("sql")} == {handler}
    assert all(span.end_ms <= result.total_ms for span in result.spans)


def test_shares_add_up_to_one_even_when_statements_run_at_the_same_time(
    generator: Generator, app: FastAPI
) -> None:
    result = trace_of(generator, app, "/gathers")
    assert sum(result.share.values()) == pytest.approx(1.0)
    assert sum(span.duration_ms for span in result.of_kind("sql")) > result.duration_ms


def test_a_new_connection_is_a_span_and_a_pooled_one_is_not(
    generator: Generator, app: FastAPI
) -> None:
    assert trace_of(generator, app, "/connects").counts["connect"] == 1
    assert "connect" not in trace_of(generator, app, "/n-plus-one").counts


def test_valkey_commands_and_what_follows_the_answer_are_told_apart(
    generator: Generator, app: FastAPI
) -> None:
    result = trace_of(generator, app, "/cached")
    assert [span.name for span in result.of_kind("valkey")] == ["SET", "GET"]
    (background,) = result.of_kind("background")
    assert background.start_ms >= result.duration_ms
    assert result.share["background"] == 0.0
    assert "after the answer" in str(result)


def test_a_plain_answer_is_serialized_in_two_steps_and_a_model_in_one(
    generator: Generator, app: FastAPI
) -> None:
    plain = trace_of(generator, app, "/cached").of_kind("serialization")
    model = trace_of(generator, app, "/connects").of_kind("serialization")
    assert [span.name for span in plain] == ["fastapi.serialization", "json.dumps"]
    assert [span.name for span in model] == ["fastapi.serialization"]


def test_psycopg_statements_are_seen(generator: Generator, app: FastAPI) -> None:
    statements = [span.statement for span in trace_of(generator, app, "/psycopg").of_kind("sql")]
    assert statements == ["SELECT 42"]


def test_a_request_to_another_server_is_a_span(generator: Generator, app: FastAPI) -> None:
    upstream = FastAPI()

    @upstream.get("/")
    async def root() -> Item:
        return Item(number=7)

    with ThreadServer(upstream) as server:
        result = trace_of(generator, app, f"/calls/{server.port}")
    (call,) = result.of_kind("http")
    assert call.statement == f"http://127.0.0.1:{server.port}/"
    assert result.status == 200


def test_an_error_is_shown_with_the_statement_that_failed(
    generator: Generator, app: FastAPI
) -> None:
    result = trace_of(generator, app, "/breaks")
    assert result.status == 500
    assert any("no_such_column" in note for note in result.notes())


def test_an_app_that_is_not_fastapi_has_a_request_span(generator: Generator) -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"plain": True})(scope, receive, send)

    result = trace(generator, OnlyHttp(plain), as_workload(get("/any")))
    assert [span.kind for span in result.spans] == ["request", "serialization"]


class OnlyHttp:
    """An ASGI app that does not know of lifespans."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self.app(scope, receive, send)


def patched_places() -> dict[str, Any]:
    """All that a trace replaces, as it is in the classes and modules now."""
    owners = {
        "asyncpg.Connection": asyncpg.Connection,
        "asyncpg.Cursor": asyncpg.cursor.Cursor,
        "asyncpg.CursorIterator": asyncpg.cursor.CursorIterator,
        "asyncpg.PreparedStatement": asyncpg.prepared_stmt.PreparedStatement,
        "asyncpg.connect_utils": connect_utils,
        "psycopg": psycopg,
        "psycopg.Connection": psycopg.Connection,
        "psycopg.AsyncConnection": psycopg.AsyncConnection,
        "redis.Redis": redis.Redis,
        "redis.Pipeline": redis.client.Pipeline,
        "redis.asyncio.Redis": redis.asyncio.Redis,
        "redis.asyncio.Pipeline": redis.asyncio.client.Pipeline,
        "httpx.HTTPTransport": httpx.HTTPTransport,
        "httpx.AsyncHTTPTransport": httpx.AsyncHTTPTransport,
        "JSONResponse": JSONResponse,
        "opentelemetry.trace": opentelemetry_trace,
    }
    return {
        f"{owner}.{name}": value
        for owner, place in owners.items()
        for name, value in vars(place).items()
    }


def test_nothing_stays_patched_after_a_trace(generator: Generator, app: FastAPI) -> None:
    before = patched_places()
    with instrumented(app):
        during = patched_places()
    trace_of(generator, app, "/n-plus-one")
    after = patched_places()
    changed = {name for name in before if before[name] is not during[name]}
    assert {"asyncpg.Connection.fetchval", "psycopg.Connection.connect"} < changed
    assert {"redis.asyncio.Redis.execute_command", "JSONResponse.render"} < changed
    assert [name for name in before if before[name] is not after[name]] == []


def test_nothing_stays_patched_after_a_trace_that_failed(generator: Generator) -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("no start")
        yield

    before = patched_places()
    with pytest.raises(AppFailedToStart, match="no start"):
        trace_of(generator, FastAPI(lifespan=lifespan), "/")
    after = patched_places()
    assert [name for name in before if before[name] is not after[name]] == []


def test_after_a_trace_fastapi_records_nothing(app: FastAPI) -> None:
    with instrumented(app) as (_, finished_spans):
        pass
    with ThreadServer(app) as server:
        answer = httpx.get(f"{server.url}/connects")
    assert answer.status_code == 200
    assert finished_spans() == ()


def test_the_result_is_readable_by_people_and_programs(generator: Generator, app: FastAPI) -> None:
    result = trace_of(generator, app, "/connects")
    assert "connect" in str(result)
    assert "<table" in result._repr_html_()
    assert len(json.loads(result.to_json())["spans"]) == len(result.spans)


def test_the_innermost_span_owns_the_time() -> None:
    spans = (
        Span("GET /", "request", 0.0, 10.0),
        Span("handler", "handler", 1.0, 8.0, parent=0),
        Span("SELECT", "sql", 2.0, 4.0, parent=1),
        Span("later", "background", 10.0, 50.0, parent=0),
    )
    share = Trace("app", "GET /", 200, spans).share
    assert share == pytest.approx({"request": 0.2, "handler": 0.4, "sql": 0.4, "background": 0.0})
