"""A fresh database and an empty Valkey for one app under check.

Each app gets its own, so that counters can be read without asking who caused them, and a
PostgreSQL user of its own, who can neither reset the counters nor look into other databases.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from course_app.errors import CourseError
from course_app.grading.evidence import CouldNotCheck
from course_app.grading.table_lock import TableLock, locked
from course_app.network import Wire

if TYPE_CHECKING:
    from course_app.services import Services

#: The server takes 100 connections in all; whatever an app does, the check needs some too.
MOST_CONNECTIONS = 60

#: The application name of the check's own connections.
CHECK_NAME = "course check"

_VALKEY = "valkey"

_GIVE_AWAY = """
SELECT format('ALTER %%s %%I.%%I OWNER TO %%I',
    CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname, %(user)s::text)
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = 'public' AND relkind IN ('r', 'S', 'v', 'm')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('e', 'a', 'i'))
"""


@dataclass(frozen=True)
class Workspace:
    """What one app works with.

    ``postgres_dsn`` and ``valkey_url`` are what the app is given. ``owner_dsn`` leads to the
    same database with the rights to read its counters, ``owner_valkey_url`` to the same Valkey
    also while it is away from the app.
    """

    postgres_dsn: str | None = None
    owner_dsn: str | None = None
    valkey_url: str | None = None
    owner_valkey_url: str | None = None
    network: Wire | None = None

    @property
    def given(self) -> Mapping[str, str]:
        """What a factory may ask for."""
        given = {"postgres_dsn": self.postgres_dsn, "valkey_url": self.valkey_url}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def user(self) -> str:
        """Who the app is to PostgreSQL."""
        return unquote(urlsplit(self.postgres_dsn or "").username or "")

    def execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement behind the app's back; ``%s`` stands for a value. Returns rows.

        Raises:
            psycopg.Error: the statement is wrong, or PostgreSQL does not answer.
        """
        with psycopg.connect(self.owner_dsn or "", autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def locked(self, table: str, seconds: float) -> "AbstractContextManager[TableLock]":
        """Make the app's statements on a table wait; see :mod:`course_app.grading.table_lock`."""
        return locked(self.owner_dsn or "", table, seconds)

    @contextlib.contextmanager
    def valkey_away(self, *, silent: bool = False) -> Iterator[None]:
        """Take Valkey away from the app; it comes back with all that it held.

        Args:
            silent: connections stay, and nothing is answered, instead of being cut off.

        Raises:
            CouldNotCheck: the exercise does not say ``valkey_can_go_away``.
        """
        if self.network is None:
            raise CouldNotCheck("This exercise's Valkey cannot be taken away.")
        (self.network.silence if silent else self.network.cut)(_VALKEY)
        try:
            yield
        finally:
            self.network.mend(_VALKEY)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the services in it."""
        return tuple(port for url in self.given.values() if (port := urlsplit(url).port))


class Workspaces:
    """Opens workspaces, also several at once. Valkey's few database numbers are used again.

    Args:
        services: gives running services; asked each time.
    """

    def __init__(self, services: "Callable[[], Services]") -> None:
        self._current = services
        self._services: Services | None = None
        self._free_valkeys: list[str] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(
        self, needs: Sequence[str], *, valkey_can_go_away: bool = False
    ) -> Iterator[Workspace]:
        """A workspace with what ``needs`` names; gone when the context is left."""
        with contextlib.ExitStack() as stack:
            owner = dsn = valkey = direct = network = None
            if needs:
                self._follow()
            if "postgres_dsn" in needs:
                owner = self._running.new_database()
                dsn = self._with_own_user(owner, stack)
                stack.callback(self._drop_database, owner)
            if "valkey_url" in needs:
                valkey = direct = stack.enter_context(self._valkey())
                if valkey_can_go_away:
                    network = stack.enter_context(Wire({_VALKEY: direct}))
                    valkey = network.url(_VALKEY)
            yield Workspace(dsn, owner and _named(owner), valkey, direct, network)

    @property
    def _running(self) -> "Services":
        assert self._services is not None
        return self._services

    def _follow(self) -> None:
        """Use the services that run now: a notebook may have opened its lab anew."""
        with self._lock:
            services = self._current()
            if services is not self._services:
                self._services, self._free_valkeys = services, []

    def _with_own_user(self, owner_dsn: str, stack: contextlib.ExitStack) -> str:
        """The database's address for a user who owns its tables and nothing else."""
        user, password = f"app_{secrets.token_hex(6)}", secrets.token_urlsafe(12)
        try:
            with psycopg.connect(owner_dsn, autocommit=True) as connection:
                _make_user(connection, user, password)
        except psycopg.errors.InsufficientPrivilege:
            # Somebody else's server, where we may not make users: the app works as we do.
            return owner_dsn
        stack.callback(_drop_user, self._running.postgres_dsn, user)
        return _with_user(owner_dsn, user, password)

    def _drop_database(self, dsn: str) -> None:
        # Fails where the services are gone, and the database with them.
        with contextlib.suppress(psycopg.Error, CourseError):
            self._running.drop_database(dsn)

    @contextlib.contextmanager
    def _valkey(self) -> Iterator[str]:
        with self._lock:
            free = self._free_valkeys
            url = free.pop() if free else self._running.new_valkey_database()
        try:
            yield url
        finally:
            with contextlib.suppress(redis.RedisError), redis.Redis.from_url(url) as client:
                client.flushdb()
                self._free_valkeys.append(url)


def _make_user(
    connection: "psycopg.Connection[tuple[object, ...]]", user: str, password: str
) -> None:
    name = sql.Identifier(user)
    database = sql.Identifier(connection.info.dbname)
    for command in (
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}").format(
            name, sql.Literal(password), sql.Literal(MOST_CONNECTIONS)
        ),
        sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database),
        sql.SQL("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {}").format(database, name),
        sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(name),
    ):
        connection.execute(command)
    for (statement,) in connection.execute(_GIVE_AWAY, {"user": user}).fetchall():
        connection.execute(str(statement).encode())


def _drop_user(dsn: str, user: str) -> None:
    # Fails where the services are gone, and the user with them.
    with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(user)))


def _with_user(dsn: str, user: str, password: str) -> str:
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{address}"))


def _named(dsn: str) -> str:
    parts = urlsplit(dsn)
    options = "&".join(filter(None, [parts.query, urlencode({"application_name": CHECK_NAME})]))
    return urlunsplit(parts._replace(query=options))
