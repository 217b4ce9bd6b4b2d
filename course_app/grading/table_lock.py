"""A lock on a table, taken from outside, so that an app's statements on it have to wait.

A database that stops answering for a moment shows what a service does while it waits: how
many statements it has under way, and whom it turns away.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

import psycopg
from psycopg import sql

from course_app.grading.evidence import CouldNotCheck
from course_app.grading.failures import HoldsTransaction

#: How long the app may take to end its own statements on the table.
_PATIENCE = "2s"
_STEP_SECONDS = 0.02
# The comment keeps it out of what probes count as the app's statements.
_WAITING = """
SELECT /* course probe */ count(*) FROM pg_locks
WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class TableLock:
    """Held by a connection of its own. ``most_waiting``: the most statements seen to wait."""

    def __init__(self, connection: "psycopg.Connection[tuple[int]]") -> None:
        self._connection = connection
        self._released = threading.Event()
        self.most_waiting = 0

    def release(self) -> None:
        """Let the statements go on."""
        self._released.set()

    def watch(self, seconds: float) -> None:
        """Hold it for so long, or until it is released."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(psycopg.Error):  # the server went away, and the lock with it
            while time.monotonic() < deadline and not self._released.wait(_STEP_SECONDS):
                row = self._connection.execute(_WAITING).fetchone()
                self.most_waiting = max(self.most_waiting, row[0] if row else 0)
            # Not by ROLLBACK, which would be counted with the app's statements.
            self._connection.close()


@contextlib.contextmanager
def locked(dsn: str, table: str, seconds: float) -> Iterator[TableLock]:
    """Lock ``table`` against everybody for ``seconds``, or until the context is left.

    Raises:
        HoldsTransaction: a transaction of the app keeps the lock from us.
        CouldNotCheck: PostgreSQL does not answer.
    """
    try:
        connection = psycopg.connect(dsn)
    except psycopg.OperationalError as error:
        raise CouldNotCheck(f"PostgreSQL does not answer: {error}") from error
    with contextlib.closing(connection):
        _take(connection, table)
        lock = TableLock(connection)
        watcher = threading.Thread(target=lock.watch, args=(seconds,), daemon=True)
        watcher.start()
        try:
            yield lock
        finally:
            lock.release()
            watcher.join()


def _take(connection: "psycopg.Connection[tuple[int]]", table: str) -> None:
    try:
        connection.execute(f"SET lock_timeout = '{_PATIENCE}'")
        statement = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE")
        connection.execute(statement.format(sql.Identifier(table)))
    except psycopg.errors.LockNotAvailable as error:
        observed = f"no lock on {table} after {_PATIENCE}"
        raise HoldsTransaction(observed, "transactions that end with their request") from error
