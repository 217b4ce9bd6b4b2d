"""Notes in each request's record what it asks of other servers, and what it opens for that.

Libraries are taken hold of when the examined app imports them; whatever they do outside of a
request (start-up, background loops) is left alone.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from typing import Any

import wrapt

from course_app.examine.instruments.visits import (
    MOST_CALLS,
    VISIT,
    Connect,
    Statement,
    caller,
    place_of_user,
)

Wrapped = Callable[..., Any]

_calls = 0
#: The last connection parameters by kind, for whoever has to look at the same database.
seen_servers: dict[str, Any] = {}


def install() -> None:
    """Take hold of every library that is known here, now or when it is imported."""
    asyncio.sleep = _sleeping(asyncio.sleep)
    for module, hook in _HOOKS.items():
        wrapt.register_post_import_hook(_forgiving(hook), module)


def _sleeping(original: Wrapped) -> Any:
    """A sleep stands for a call to somebody else: counted, so that loops of them are known."""

    async def sleep(delay: float, *args: Any, **options: Any) -> Any:
        statement = _begin("sleep", "", ()) if delay > 0 else None
        try:
            return await original(delay, *args, **options)
        finally:
            _end(statement)

    return functools.wraps(original)(sleep)


def _forgiving(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """Another release of a library may have other names: then this look is missing, no more."""

    def attempt(module: Any) -> None:
        try:
            hook(module)
        except (AttributeError, TypeError) as error:
            missing.append(f"{module.__name__}: {error}")

    return attempt


#: Libraries that could not be taken hold of.
missing: list[str] = []


def _begin(kind: str, text: str, args: Any) -> Statement | None:
    global _calls
    visit = VISIT.get()
    if visit is None or visit.end or _calls > MOST_CALLS:
        return None
    _calls += 1
    statement = Statement(kind, text, args, place_of_user(sys._getframe(2)))
    visit.statements.append(statement)
    return statement


def forget() -> None:
    """Count calls from zero again."""
    global _calls
    _calls = 0


def _end(statement: Statement | None, rows: int = -1) -> None:
    if statement is not None:
        statement.ended()
        statement.rows = rows


def _replace(owner: Any, name: str, wrapper: Callable[[Wrapped], Wrapped]) -> None:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrapper(original)))


def _rows(result: Any) -> int:
    return len(result) if isinstance(result, list | tuple) else -1


# asyncpg


def _asyncpg_connection(module: Any) -> None:
    def executing(original: Wrapped) -> Wrapped:
        async def _execute(self: Any, query: str, args: Any, *rest: Any, **options: Any) -> Any:
            statement, result = _begin("sql", query, args), None
            if statement is not None:
                seen_servers["asyncpg"] = self
            try:
                result = await original(self, query, args, *rest, **options)
                return result
            finally:
                _end(statement, _rows(result))

        return _execute

    def simply(original: Wrapped) -> Wrapped:
        async def execute(self: Any, query: str, *args: Any, **options: Any) -> Any:
            if args:
                return await original(self, query, *args, **options)
            statement = _begin("sql", query, ())
            try:
                return await original(self, query, **options)
            finally:
                _end(statement)

        return execute

    _replace(module.Connection, "_execute", executing)
    _replace(module.Connection, "execute", simply)
    _replace(module.Connection, "close", _connecting("sql", opens=False))


def _asyncpg_prepared(module: Any) -> None:
    def executing(original: Wrapped) -> Wrapped:
        async def bind(self: Any, args: Any, *rest: Any, **options: Any) -> Any:
            statement, result = _begin("sql", self._query, args), None
            if statement is not None:
                seen_servers["asyncpg"] = self._connection
            try:
                result = await original(self, args, *rest, **options)
                return result
            finally:
                _end(statement, _rows(result))

        return bind

    _replace(module.PreparedStatement, "_PreparedStatement__bind_execute", executing)


def _connecting(kind: str, *, opens: bool = True) -> Callable[[Wrapped], Wrapped]:
    """What opens a connection; with ``opens`` false what it costs besides."""

    def wrapper(original: Wrapped) -> Wrapped:
        async def connect(*args: Any, **options: Any) -> Any:
            noted = Connect(kind, caller() if opens else None, opens=opens)
            try:
                return await original(*args, **options)
            finally:
                _opened(noted)

        return connect

    return wrapper


def _connecting_now(kind: str, *, opens: bool = True) -> Callable[[Wrapped], Wrapped]:
    """The same for what nobody awaits."""

    def wrapper(original: Wrapped) -> Wrapped:
        def connect(*args: Any, **options: Any) -> Any:
            noted = Connect(kind, caller() if opens else None, opens=opens, awaited=False)
            try:
                return original(*args, **options)
            finally:
                _opened(noted)

        return connect

    return wrapper


def _opened(connect: Connect) -> None:
    visit = VISIT.get()
    if visit is None or visit.end:
        return
    connect.ended()
    # A client that was made in this same request opens its connections later, elsewhere.
    made = next((where for each, where in visit.clients if each == connect.kind), None)
    connect.place = made or connect.place
    visit.connects.append(connect)


def _making(kind: str) -> Callable[[Wrapped], Wrapped]:
    def wrapper(original: Wrapped) -> Wrapped:
        timed = _connecting_now(kind, opens=False)(original)

        def make(*args: Any, **options: Any) -> Any:
            visit = VISIT.get()
            if visit is not None and not visit.end:
                visit.clients.append((kind, caller()))
            return timed(*args, **options)

        return make

    return wrapper


def _asyncpg_connect(module: Any) -> None:
    _replace(module, "_connect", _connecting("sql"))


def _asyncpg_pool(module: Any) -> None:
    _replace(module.Pool, "__init__", _making("sql"))


# psycopg and psycopg2


def _psycopg(module: Any) -> None:
    from psycopg import Cursor

    def executing(original: Wrapped) -> Wrapped:
        def execute(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
            statement = _begin("sql", _text(query, self), params)
            if statement is not None:
                seen_servers["psycopg"] = self.connection
            try:
                return original(self, query, params, **options)
            finally:
                _end(statement, self.rowcount if self.description else -1)

        return execute

    def executing_async(original: Wrapped) -> Wrapped:
        async def execute(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
            statement = _begin("sql", _text(query, self), params)
            if statement is not None:
                seen_servers["psycopg"] = self.connection
            try:
                return await original(self, query, params, **options)
            finally:
                _end(statement, self.rowcount if self.description else -1)

        return execute

    _replace(Cursor, "execute", executing)
    _replace(module.AsyncCursor, "execute", executing_async)

    connect, connect_now = _connecting("sql"), _connecting_now("sql")
    for owner, hook in ((module.Connection, connect_now), (module.AsyncConnection, connect)):
        original = owner.connect.__func__
        owner.connect = classmethod(functools.wraps(original)(hook(original)))
    module.connect = module.Connection.connect  # made from the other one when it was imported


def _text(query: Any, cursor: Any) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode()
    try:
        return str(query.as_string(cursor))
    except Exception:
        return str(query)


def _psycopg2(module: Any) -> None:
    from psycopg2.extensions import cursor

    class Noting(cursor):  # type: ignore[misc]
        def execute(self, query: Any, variables: Any = None) -> Any:
            statement = _begin("sql", query if isinstance(query, str) else str(query), variables)
            try:
                return super().execute(query, variables)
            finally:
                _end(statement, self.rowcount if self.description else -1)

    def connecting(original: Wrapped) -> Wrapped:
        opening = _connecting_now("sql")(original)

        def connect(*args: Any, **options: Any) -> Any:
            if "connection_factory" not in options:
                options.setdefault("cursor_factory", Noting)
            return opening(*args, **options)

        return connect

    _replace(module, "connect", connecting)


# SQLAlchemy: for drivers that are not taken hold of above


def _sqlalchemy(module: Any) -> None:
    from sqlalchemy import event

    hooked = {"asyncpg", "psycopg", "psycopg2", "psycopg_async"}

    def before(conn: Any, _cursor: Any, statement: str, params: Any, context: Any, _m: Any) -> None:
        if conn.dialect.driver not in hooked and context is not None:
            context._examined = _begin("sql", statement, params)

    def after(_c: Any, cursor: Any, _s: str, _p: Any, context: Any, _m: Any) -> None:
        if (statement := getattr(context, "_examined", None)) is not None:
            _end(statement, cursor.rowcount if cursor.description else -1)

    event.listen(module.Engine, "before_cursor_execute", before)
    event.listen(module.Engine, "after_cursor_execute", after)


def _sqlalchemy_create(module: Any) -> None:
    _replace(module, "create_engine", _making("sql"))


# Redis and Valkey


def _redis_async(module: Any) -> None:
    _redis_commands(module, asynchronous=True)


def _redis_now(module: Any) -> None:
    _redis_commands(module, asynchronous=False)


def _redis_commands(module: Any, *, asynchronous: bool) -> None:
    def executing(original: Wrapped) -> Wrapped:
        async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            statement = _begin("redis", str(args[0]) if args else "", args[1:])
            try:
                return await original(self, *args, **options)
            finally:
                _end(statement)

        def execute_now(self: Any, *args: Any, **options: Any) -> Any:
            statement = _begin("redis", str(args[0]) if args else "", args[1:])
            try:
                return original(self, *args, **options)
            finally:
                _end(statement)

        return execute_command if asynchronous else execute_now

    _replace(getattr(module, "Redis", None) or module.Valkey, "execute_command", executing)


def _redis_connections(module: Any) -> None:
    asynchronous = module.__name__.startswith(("redis.asyncio", "valkey.asyncio"))

    hook = _connecting if asynchronous else _connecting_now

    def connecting(original: Wrapped) -> Wrapped:
        opening = hook("redis")(original)

        def connect(self: Any, *args: Any, **options: Any) -> Any:
            there = self.is_connected if asynchronous else getattr(self, "_sock", None) is not None
            return (original if there else opening)(self, *args, **options)

        return connect

    newer = hasattr(module.AbstractConnection, "connect_check_health")
    _replace(module.AbstractConnection, "connect_check_health" if newer else "connect", connecting)
    _replace(module.AbstractConnection, "disconnect", hook("redis", opens=False))
    # Connections cost some time before they connect: redis-py looks up its own version.
    _replace(module.ConnectionPool, "make_connection", _connecting_now("redis", opens=False))
    _replace(module.ConnectionPool, "__init__", _making("redis"))


# HTTP clients


def _httpx(module: Any) -> None:
    for client in (module.AsyncClient, module.Client):
        _replace(client, "__init__", _making("http"))

    def sending(original: Wrapped) -> Wrapped:
        async def send(self: Any, request: Any, **options: Any) -> Any:
            statement = _begin("http", f"{request.method} {request.url.host}", str(request.url))
            try:
                return await original(self, request, **options)
            finally:
                _end(statement)

        return send

    _replace(module.AsyncClient, "send", sending)


def _httpcore_async(module: Any) -> None:
    _replace(module.AutoBackend, "connect_tcp", _connecting("http"))


def _httpcore_sync(module: Any) -> None:
    _replace(module.SyncBackend, "connect_tcp", _connecting_now("http"))


def _aiohttp(module: Any) -> None:
    _replace(module.TCPConnector, "_create_connection", _connecting("http"))


def _aiohttp_client(module: Any) -> None:
    _replace(module.ClientSession, "__init__", _making("http"))


def _mongo(module: Any) -> None:
    _replace(module.Pool, "connect", _connecting_now("mongo"))


def _mongo_async(module: Any) -> None:
    _replace(module.Pool, "connect", _connecting("mongo"))


_HOOKS: dict[str, Callable[[Any], None]] = {
    "asyncpg.connection": _asyncpg_connection,
    "asyncpg.prepared_stmt": _asyncpg_prepared,
    "asyncpg.connect_utils": _asyncpg_connect,
    "asyncpg.pool": _asyncpg_pool,
    "psycopg": _psycopg,
    "psycopg2": _psycopg2,
    "sqlalchemy.engine": _sqlalchemy,
    "sqlalchemy.engine.create": _sqlalchemy_create,
    "redis.asyncio.client": _redis_async,
    "redis.client": _redis_now,
    "redis.asyncio.connection": _redis_connections,
    "redis.connection": _redis_connections,
    "valkey.asyncio.client": _redis_async,
    "valkey.client": _redis_now,
    "valkey.asyncio.connection": _redis_connections,
    "valkey.connection": _redis_connections,
    "httpx": _httpx,
    "httpcore._backends.auto": _httpcore_async,
    "httpcore._backends.sync": _httpcore_sync,
    "aiohttp.connector": _aiohttp,
    "aiohttp.client": _aiohttp_client,
    "pymongo.synchronous.pool": _mongo,
    "pymongo.asynchronous.pool": _mongo_async,
}
