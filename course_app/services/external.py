"""Servers that the environment names: a lab makes databases of its own there, and removes them.

What was made is written into a ledger first; the cleaner, a process that outlives this one, removes
what the ledger names. A Valkey database number is reserved by a named connection that has selected
it, which every other lab can see in CLIENT LIST and which cannot outlive its process.
"""

import json
import secrets
import shutil
import threading
from typing import Any

import psycopg
import redis
from psycopg import conninfo, sql

from course_app.dataset import FILL_SQL, SCHEMA_SQL
from course_app.processes import OwnedProcess
from course_app.services import cleaner
from course_app.services.errors import ServerUnreachable, ServicesDidNotStart
from course_app.services.folders import make_lab_folder
from course_app.services.launch import program
from course_app.services.urls import postgres_database, postgres_url, valkey_url, without_secrets
from course_app.system.waiting import wait_until

POSTGRES_VARIABLE = "COURSE_POSTGRES_DSN"
VALKEY_VARIABLE = "COURSE_REDIS_URL"
ANSWER_TIMEOUT_SECONDS = 5
CLEANER_START_SECONDS = 30.0
# Dropping databases on a busy server of somebody else may take its time.
CLEANER_GRACE_SECONDS = 30.0
OLDEST_POSTGRES = 140000


class Ledger:
    """Names of what this lab made, and the cleaner process that removes it after the end."""

    def __init__(self) -> None:
        self._folder = make_lab_folder(None)
        self._path = self._folder.path / cleaner.LEDGER
        try:
            self._path.touch(mode=0o600)
            self._process = OwnedProcess(
                program(cleaner.__name__, self._folder.path),
                remove=[self._folder.path],
                orphaned_grace_seconds=CLEANER_GRACE_SECONDS,
            )
        except BaseException:
            self._folder.release()
            shutil.rmtree(self._folder.path, ignore_errors=True)
            raise
        try:
            self._await_cleaner()
        except BaseException:
            self.stop()
            raise

    def _await_cleaner(self) -> None:
        ready = (self._folder.path / cleaner.READY).exists
        wait_until(lambda: ready() or not self._process.running, CLEANER_START_SECONDS)
        if not ready():
            tail = self._process.output_tail(3)
            raise ServicesDidNotStart(
                f"The process that tidies up your servers afterwards did not start: {tail}. "
                "Try again, or run `course doctor`."
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def add(self, **entry: str) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def stop(self) -> None:
        """Remove everything in the ledger, and wait for that."""
        self._process.stop(CLEANER_GRACE_SECONDS)
        self._folder.release()


class ExternalPostgres:
    """Databases of this lab on a PostgreSQL server that somebody else runs."""

    embedded = False

    def __init__(self, address: str) -> None:
        """Connect once, to learn whether the server will do.

        Raises:
            ServerUnreachable: nobody answers, or the server or its user will not do.
        """
        self._address = _readable_dsn(address)
        self._token = secrets.token_hex(6)
        self._lock = threading.Lock()
        self._template = ""
        self._made: set[str] = set()
        with self._connect() as connection:
            self.version = _checked_version(connection, self._shown)
        self.dsn = ""

    @property
    def _shown(self) -> str:
        parameters = _parameters(self._address)
        url = postgres_url(parameters, parameters.get("dbname", ""))
        return f"{POSTGRES_VARIABLE} ({without_secrets(url)})"

    def _connect(self, dsn: str = "") -> psycopg.Connection[Any]:
        try:
            return psycopg.connect(
                dsn or self._address, autocommit=True, connect_timeout=ANSWER_TIMEOUT_SECONDS
            )
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
            raise ServerUnreachable(
                f"{self._shown} names a PostgreSQL server that does not let us in: {reason}. Start "
                "that server or correct the variable; without the variable the lab uses its own."
            ) from error

    def open(self, ledger: Ledger, *, dataset: bool) -> None:
        """Make the lab's own database."""
        self._ledger = ledger
        self.dsn = self.new_database(dataset=dataset)

    def new_database(self, *, dataset: bool) -> str:
        template = self._filled_template() if dataset else "template0"
        dsn = self._create(f"course_{self._token}_{secrets.token_hex(4)}", template)
        self._made.add(postgres_database(dsn))
        return dsn

    def _create(self, name: str, template: str) -> str:
        self._ledger.add(database=name, server=self._address)
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with self._connect() as connection:
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        dsn = postgres_url(_parameters(self._address), name)
        with self._connect(dsn) as connection:
            _make_counting(connection, self._shown)
        return dsn

    def _filled_template(self) -> str:
        """The name of a database with the data set that nobody connects to; made once a lab."""
        with self._lock:
            if not self._template:
                # A name of its own for each try: one that was interrupted has used up its name.
                name = f"course_{self._token}_dataset_{secrets.token_hex(4)}"
                with self._connect(self._create(name, "template0")) as connection:
                    with connection.transaction():
                        for script in (SCHEMA_SQL, FILL_SQL):
                            connection.execute(script.read_bytes())
                    connection.execute("VACUUM (FREEZE, ANALYZE)")
                self._template = name
        return self._template

    def drop_database(self, dsn: str) -> None:
        name = postgres_database(dsn)
        if name not in self._made or dsn == self.dsn:
            raise ValueError(f"{name!r} was not made by new_database of this lab.")
        with self._connect() as connection:
            connection.execute(cleaner.drop_statement(name))
        self._made.discard(name)


def _readable_dsn(address: str) -> str:
    """The address for libpq; SQLAlchemy's ``postgresql+driver`` is understood."""
    scheme, separator, rest = address.partition("://")
    plain = scheme.partition("+")[0] + separator + rest
    try:
        _parameters(plain)
    except psycopg.ProgrammingError as error:
        raise ServerUnreachable(
            f"{POSTGRES_VARIABLE} is not an address of a PostgreSQL server. "
            "Write it as postgresql://user:password@host:5432/database."
        ) from error
    return plain


def _parameters(address: str) -> dict[str, str]:
    return {name: str(value) for name, value in conninfo.conninfo_to_dict(address).items()}


def _checked_version(connection: psycopg.Connection[Any], shown: str) -> str:
    if connection.info.server_version < OLDEST_POSTGRES:
        raise ServerUnreachable(
            f"{shown} is a PostgreSQL older than 14, which the course does not know. Use a newer "
            "one, or unset the variable; the lab then uses its own."
        )
    allowed = connection.execute(
        "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if allowed is None or not allowed[0]:
        raise ServerUnreachable(
            f"The user of {shown} may not create databases. Allow it with ALTER ROLE "
            f"{connection.info.user} CREATEDB, or unset the variable; the lab then uses its own."
        )
    return str(connection.info.parameter_status("server_version")).split()[0]


def _make_counting(connection: psycopg.Connection[Any], shown: str) -> None:
    """Statement statistics, from which a lab knows what requests cause."""
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        connection.execute("SELECT FROM pg_stat_statements_info")
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise ServerUnreachable(
            f"{shown} does not count statements for us: {reason}. It needs "
            "shared_preload_libraries = 'pg_stat_statements' and a user who may create that "
            "extension, as a superuser may. Or unset the variable; the lab then uses its own."
        ) from error


class ExternalValkey:
    """Database numbers of this lab on a Valkey or Redis server that somebody else runs."""

    embedded = False

    def __init__(self, address: str) -> None:
        """Connect once, to learn whether the server will do.

        Raises:
            ServerUnreachable: nobody answers.
        """
        self._address = address
        self._reservations: list[redis.Redis] = []
        self.url = ""
        try:
            with redis.Redis.from_url(address, socket_timeout=ANSWER_TIMEOUT_SECONDS) as client:
                facts = client.info("server")
        except (redis.RedisError, ValueError, OSError) as error:
            raise self._unreachable(error) from error
        self.version = str(facts.get("valkey_version") or facts["redis_version"])

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        shown = f"{VALKEY_VARIABLE} ({without_secrets(self._address)})"
        return ServerUnreachable(
            f"{shown} names a Valkey or Redis server that does not let us in: {error}. Start that "
            "server or correct the variable; without the variable the lab uses its own."
        )

    def open(self, ledger: Ledger) -> None:
        """Take the lab's own database number."""
        self._ledger = ledger
        self.url = self.new_database()

    def new_database(self) -> str:
        number = 0
        while True:
            number += 1
            url = valkey_url(self._address, number)
            try:
                client = cleaner.reserve(url)
            except redis.ResponseError as error:
                if "out of range" not in str(error):
                    raise ServerUnreachable(
                        f"{VALKEY_VARIABLE} ({without_secrets(self._address)}) may not do what a "
                        f"lab needs: {error}. Allow it (`ACL SETUSER ... allcommands allkeys`), or "
                        "unset the variable; the lab then uses its own."
                    ) from error
                raise ServerUnreachable(
                    f"{VALKEY_VARIABLE} ({without_secrets(self._address)}) has no empty database "
                    "number left. Raise its setting `databases`, or unset the variable."
                ) from error
            except (redis.RedisError, OSError) as error:
                raise self._unreachable(error) from error
            if client is not None:
                self._ledger.add(valkey=url)
                self._reservations.append(client)
                return url
