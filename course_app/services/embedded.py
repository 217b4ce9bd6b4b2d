"""A lab's own servers, from the wheels: what `Services` needs of them."""

import itertools
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from course_app.services import cache
from course_app.services.binaries import find_binaries, server_account
from course_app.services.cluster import DATABASE, TEMPLATE, copy_template
from course_app.services.errors import (
    DamagedCache,
    ServicesDidNotStart,
    ServicesError,
    is_no_room,
    no_room,
)
from course_app.services.launch import Running, start_job
from course_app.services.postgres import USER
from course_app.services.supervisor import Job
from course_app.services.urls import postgres_database
from course_app.services.valkey import DATABASES, info
from course_app.system.waiting import wait_until

Connection = psycopg.Connection[tuple[object, ...]]

START_TIMEOUT_SECONDS = 120.0
SETTING_TIMEOUT_SECONDS = 10.0
NAME_PREFIX = "course_"


def start_embedded(*, postgres: bool, valkey: bool, dataset: bool) -> Running:
    """Start a supervisor with the wanted servers; a damaged data set is made anew, once.

    Raises:
        ServicesError: of the kind that says what to do.
    """
    if postgres:
        cache.prepare()
    made = cache.made()
    try:
        return _start(postgres=postgres, valkey=valkey, dataset=dataset)
    except DamagedCache:
        cache.rebuild(made)
    try:
        return _start(postgres=postgres, valkey=valkey, dataset=dataset)
    except DamagedCache as error:
        raise ServicesDidNotStart(str(error)) from error


def _start(*, postgres: bool, valkey: bool, dataset: bool) -> Running:
    binaries = find_binaries(postgres=postgres, valkey=valkey)
    account = server_account()
    job = Job(
        mode="serve",
        prepared=str(cache.prepare() if postgres else ""),
        postgres_binaries=str(binaries.postgres),
        valkey_binary=str(binaries.valkey),
        postgres=postgres,
        valkey=valkey,
        dataset=dataset,
        account=(account.uid, account.gid) if account else None,
    )
    return start_job(job, account, START_TIMEOUT_SECONDS)


class EmbeddedPostgres:
    """The lab's own PostgreSQL."""

    embedded = True

    def __init__(self, running: Running) -> None:
        self._running = running
        self.dsn = self._dsn(DATABASE)
        self.version = running.report.postgres_version
        self._lock = threading.Lock()
        self._made: set[str] = set()
        self._copying = 0

    def _dsn(self, database: str) -> str:
        report = self._running.report
        address = f"127.0.0.1:{report.postgres_port}"
        return f"postgresql://{USER}:{report.postgres_password}@{address}/{database}"

    def _administered(self) -> Connection:
        return psycopg.connect(self._dsn("postgres"), autocommit=True)

    def new_database(self, *, dataset: bool) -> str:
        name = f"{NAME_PREFIX}{secrets.token_hex(6)}"
        create = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        try:
            with self._administered() as connection:
                if dataset:
                    with self._lock:
                        self._bring_template()
                    template = sql.Identifier(TEMPLATE)
                    create += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(template)
                connection.execute("SET file_copy_method = clone")
                with self._unsynced(connection):
                    connection.execute(create)
        except psycopg.errors.DiskFull as error:
            raise no_room(self._running.folder.path) from error
        self._made.add(name)
        return self._dsn(name)

    def _bring_template(self) -> None:
        """Its files are left out at the start, because most labs never clone a database."""
        data = Path(self._running.report.data)
        template = self._running.report.template
        prepared, made = cache.prepare(), cache.made()
        try:
            copy_template(prepared, data, template, server_account())
        except DamagedCache:
            copy_template(cache.rebuild(made), data, template, server_account())
        except OSError as error:
            if is_no_room(error):
                raise no_room(data) from error
            raise

    @contextmanager
    def _unsynced(self, connection: Connection) -> Iterator[None]:
        """Let PostgreSQL copy without waiting for the disk: nothing of a lab survives a crash.

        The setting is the whole server's. It is back before anybody can measure commits.
        """
        try:
            with self._lock:
                self._copying += 1
                _set_fsync(connection, "off")
            yield
        finally:
            # In a thread, which no second interrupt reaches: it would stay off for the whole lab.
            thread = ThreadPoolExecutor(1)
            synced = thread.submit(self._synced_again)
            thread.shutdown(wait=False)
            synced.result()

    def _synced_again(self) -> None:
        with self._lock:
            self._copying = max(0, self._copying - 1)
            if not self._copying:
                with self._administered() as connection:
                    _set_fsync(connection, "on")

    def drop_database(self, dsn: str) -> None:
        name = postgres_database(dsn)
        if name not in self._made:
            raise ValueError(f"{name!r} was not made by new_database of this lab.")
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with self._administered() as connection:
            connection.execute(drop)
        self._made.discard(name)


def _set_fsync(connection: Connection, wanted: str) -> None:
    connection.execute(f"ALTER SYSTEM SET fsync = {wanted}".encode())
    connection.execute("SELECT pg_reload_conf()")

    def taken() -> bool:
        # A session reads the settings anew between two statements, once the word has come round.
        return connection.execute("SHOW fsync").fetchone() == (wanted,)

    if not wait_until(taken, SETTING_TIMEOUT_SECONDS, pause_seconds=0.001):
        raise ServicesError("PostgreSQL does not take a changed setting. Start a new lab.")


class EmbeddedValkey:
    """The lab's own Valkey."""

    embedded = True

    def __init__(self, running: Running) -> None:
        self.version = running.report.valkey_version
        self._port, self._password = running.report.valkey_port, running.report.valkey_password
        self._server = f"redis://:{self._password}@127.0.0.1:{self._port}"
        self._numbers = itertools.count(1)
        self.url = f"{self._server}/0"

    def new_database(self) -> str:
        used = info(self._port, self._password, "keyspace")
        for number in self._numbers:
            if number >= DATABASES:
                break
            if f"db{number}" not in used:
                return f"{self._server}/{number}"
        raise ServicesError(
            f"All {DATABASES} Valkey databases of this lab are taken. Start a new one."
        )
