"""A fresh database and an empty Valkey for one app under check.

Each app gets its own, so that counters can be read without asking who caused them, and users of its
own, who can neither reset the counters nor look into other databases. Nobody whom the app could
make run its code (a trigger, a view, an operator) may do more than the app itself: what the check
changes there it changes as a member of the app's own role, and what it counts it reads as a role
that can read statistics and nothing else.
"""

import contextlib
import hmac
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from course_app.errors import CourseError
from course_app.grading.evidence import CouldNotCheck
from course_app.grading.failures import RefusesChanges
from course_app.grading.table_lock import TableLock, locked
from course_app.network import Wire

if TYPE_CHECKING:
    from course_app.services import Services

#: The server takes 100 connections in all; whatever an app does, the check needs some too.
MOST_CONNECTIONS = 60

#: The application name of the check's own connections.
CHECK_NAME = "course check"

#: For sorting and hashing; the tables' own size is looked at (`Workspace.database_bytes`).
_TEMPORARY_FILES = "256MB"

#: Longer than any change takes; an app can hold a lock, and its triggers can sleep.
_LONGEST_CHANGE = "10s"

_VALKEY = "valkey"
#: What an app may ask of Valkey: anything but what reaches its neighbours or the server itself.
_VALKEY_RIGHTS = (
    *("+@all", "-@admin", "-@dangerous", "+keys", "+info", "+flushdb", "+sort", "+role"),
    *("-select", "-swapdb", "-move", "-copy", "-function", "-script|flush", "-script|kill"),
)

_GIVE_AWAY = """
SELECT format('ALTER %%s %%I.%%I OWNER TO %%I',
    CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname, %(user)s::text)
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = 'public' AND relkind IN ('r', 'S', 'v', 'm')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('e', 'a', 'i'))
"""

_FORGET = """
SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = %s
"""

# The course's own and the two that every server has: others' are their owners' business.
_OPEN_TO_ALL = """
SELECT datname FROM pg_database
WHERE pg_get_userbyid(datdba) = current_user AND datallowconn
    AND (starts_with(datname, 'course') OR datname IN ('postgres', 'template1'))
    AND has_database_privilege('pg_read_all_stats', oid, 'CONNECT')
"""


@dataclass(frozen=True)
class Workspace:
    """What one app works with.

    ``postgres_dsn`` and ``valkey_url`` are what the app is given. ``owner_dsn`` leads to the
    same database with the app's rights, under a name of its own; ``reader_dsn`` with the right to
    read its counters, and no other; ``owner_valkey_url`` to the same Valkey as its administrator,
    also while it is away from the app. ``database_bytes()`` is the room that the database takes on
    the disk, 0 where that is not told.
    """

    postgres_dsn: str | None = None
    owner_dsn: str | None = None
    reader_dsn: str | None = None
    valkey_url: str | None = None
    owner_valkey_url: str | None = None
    network: Wire | None = None
    database_bytes: Callable[[], int] = field(default=lambda: 0, repr=False)

    @property
    def given(self) -> Mapping[str, str]:
        """What a factory may ask for."""
        given = {"postgres_dsn": self.postgres_dsn, "valkey_url": self.valkey_url}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def user(self) -> str:
        """Who the app is to PostgreSQL."""
        return unquote(urlsplit(self.postgres_dsn or "").username or "")

    @property
    def reader_dsn_is_apart(self) -> bool:
        """Whether the check counts as another user than the app."""
        return (
            urlsplit(self.reader_dsn or "").username != urlsplit(self.postgres_dsn or "").username
        )

    def execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement behind the app's back; ``%s`` stands for a value. Returns rows.

        Raises:
            RefusesChanges: what the app did to the database is in the way. (Where PostgreSQL is
                away or the statement is wrong, that is not the app's fault: the engine looks.)
        """
        try:
            with psycopg.connect(self.owner_dsn or "", autocommit=True) as connection:
                cursor = connection.execute(query.encode(), values or None)
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise RefusesChanges(f"{type(error).__name__}: {error}", "the change") from error

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
            space = Workspace()
            if needs:
                self._follow()
            if "postgres_dsn" in needs:
                space = self._postgres(stack)
            if "valkey_url" in needs:
                direct = stack.enter_context(self._valkey())
                url = self._with_valkey_user(direct, stack)
                network = None
                if valkey_can_go_away:
                    network = stack.enter_context(Wire({_VALKEY: url}))
                    url = network.url(_VALKEY)
                space = replace(space, valkey_url=url, owner_valkey_url=direct, network=network)
            yield space

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

    def _postgres(self, stack: contextlib.ExitStack) -> Workspace:
        """A database for a user who owns its tables and nothing else, and for the check."""
        superuser = self._running.new_database()
        token = secrets.token_hex(6)
        users = _Users(f"app_{token}", f"check_{token}", f"stats_{token}", secrets.token_hex(16))
        try:
            with psycopg.connect(superuser) as connection:
                _make_users(connection, users)
            stack.callback(_drop_users, self._running.postgres_dsn, users)
            space = users.workspace(superuser)
        except psycopg.errors.InsufficientPrivilege:
            # Somebody else's server, where we may not make users: all work as we do.
            named = _with_options(superuser, application_name=CHECK_NAME)
            space = Workspace(superuser, named, named)
        stack.callback(self._drop_database, superuser)
        return replace(space, database_bytes=self._size_of(superuser, stack))

    def _size_of(self, dsn: str, stack: contextlib.ExitStack) -> Callable[[], int]:
        """Asked on a connection to another database, so that no session of this one is counted."""
        connection = stack.enter_context(
            psycopg.connect(self._running.postgres_dsn, autocommit=True)
        )
        connection.execute("SET statement_timeout = '2s'")
        name = urlsplit(dsn).path.strip("/")

        def size() -> int:
            with contextlib.suppress(psycopg.Error):
                row = connection.execute("SELECT pg_database_size(%s)", [name]).fetchone()
                return int(row[0]) if row else 0
            return 0

        return size

    @staticmethod
    def _with_valkey_user(direct: str, stack: contextlib.ExitStack) -> str:
        """The address for a user who can reach this database number and no other."""
        user, password = f"app_{secrets.token_hex(6)}", secrets.token_hex(16)
        number = urlsplit(direct).path.strip("/") or "0"
        rights = ["on", f">{password}", "~*", "&*", *_VALKEY_RIGHTS, f"+select|{number}"]
        try:
            with redis.Redis.from_url(direct) as client:
                client.execute_command("ACL", "SETUSER", user, "reset", *rights)
        except redis.ResponseError:  # somebody else's server, where we may not make users
            return direct
        stack.callback(_drop_valkey_user, direct, user)
        return _with_user(direct, user, password)

    def _drop_database(self, dsn: str) -> None:
        # Fails where the services are gone, and the database with them.
        with contextlib.suppress(psycopg.Error, CourseError):
            self._forget_statements(urlsplit(dsn).path.strip("/"))
            self._running.drop_database(dsn)

    def _forget_statements(self, database: str) -> None:
        """Make room among the statements that are counted: those of a class would fill it."""
        with (
            contextlib.suppress(psycopg.errors.ProgrammingError),  # no extension, or not ours
            psycopg.connect(self._running.postgres_dsn, autocommit=True) as connection,
        ):
            connection.execute(_FORGET, [database])

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


@dataclass(frozen=True)
class _Users:
    """The roles of one database: the app, the check's changes, and its counting."""

    app: str
    changes: str
    counts: str
    password: str

    def workspace(self, superuser_dsn: str) -> Workspace:
        """The addresses that they have. The app's password is no clue to the others'."""
        as_check = {"application_name": CHECK_NAME}
        limits = f"-c statement_timeout={_LONGEST_CHANGE}"
        return Workspace(
            _with_user(superuser_dsn, self.app, self.password_of(self.app)),
            _with_options(
                _with_user(superuser_dsn, self.changes, self.password_of(self.changes)),
                **as_check,
                options=limits,
            ),
            _with_options(
                _with_user(superuser_dsn, self.counts, self.password_of(self.counts)),
                **as_check,
                options="-c search_path=pg_catalog",
            ),
        )

    def password_of(self, user: str) -> str:
        """A password for each user, from one secret."""
        return hmac.digest(self.password.encode(), user.encode(), "sha256").hex()


def _make_users(connection: "psycopg.Connection[tuple[object, ...]]", users: _Users) -> None:
    app, changes, counts = map(sql.Identifier, (users.app, users.changes, users.counts))
    database = sql.Identifier(connection.info.dbname)
    for user in (users.app, users.changes, users.counts):
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}").format(
                sql.Identifier(user), sql.Literal(users.password_of(user)), MOST_CONNECTIONS
            )
        )
    for command in (
        sql.SQL("GRANT {app} TO {changes}"),
        sql.SQL("GRANT pg_read_all_stats TO {counts}"),
        sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {app}"),
        sql.SQL("GRANT CONNECT ON DATABASE {database} TO {counts}"),
        sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {app}"),
    ):
        connection.execute(
            command.format(app=app, changes=changes, counts=counts, database=database)
        )
    _limit_temporary_files(connection, users.app)
    for (statement,) in connection.execute(_GIVE_AWAY, {"user": users.app}).fetchall():
        connection.execute(str(statement).encode())
    # Those that everybody may enter by default; each takes its rights from the server's owner.
    for (name,) in connection.execute(_OPEN_TO_ALL).fetchall():
        revoke = sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC")
        connection.execute(revoke.format(sql.Identifier(str(name))))


def _limit_temporary_files(connection: "psycopg.Connection[tuple[object, ...]]", user: str) -> None:
    # Only a superuser may, and only a superuser may take it back. Elsewhere there is no limit.
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        limit = sql.SQL("ALTER ROLE {} SET temp_file_limit = {}")
        connection.execute(limit.format(sql.Identifier(user), sql.Literal(_TEMPORARY_FILES)))


def _drop_users(dsn: str, users: _Users) -> None:
    # Fails where the services are gone, and the users with them.
    with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as connection:
        names = map(sql.Identifier, (users.app, users.changes, users.counts))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.SQL(", ").join(names)))


def _drop_valkey_user(url: str, user: str) -> None:
    # Fails where Valkey is gone, and the user with it.
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(url) as client:
        client.acl_deluser(user)


def _with_user(dsn: str, user: str, password: str) -> str:
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{address}"))


def _with_options(dsn: str, **options: str) -> str:
    parts = urlsplit(dsn)
    query = "&".join(filter(None, [parts.query, urlencode(options, quote_via=quote)]))
    return urlunsplit(parts._replace(query=query))
