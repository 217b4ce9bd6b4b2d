"""What PostgreSQL did: statements, rows, buffers, sessions, connections, CPU.

Statements are counted by ``pg_stat_statements`` in shared memory at the moment they end;
sessions come from ``pg_stat_database``, which backends report when they go idle or exit.
"""

import contextlib
import re
import time
from collections.abc import Sequence
from typing import LiteralString

import psutil
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from course_app.measure.probes import Reading
from course_app.system.usage import tree_cpu_seconds

# What asyncpg's pool sends when a connection is given back; counted apart from the app's own.
# The whole of it: a statement that only begins like that is one of the app's.
_RESET = (
    r"^\s*(SELECT pg_advisory_unlock_all\(\)|CLOSE ALL|UNLISTEN \*|RESET ALL|DISCARD ALL)\s*;?\s*$"
)

# Transaction control and settings: what drivers send around a statement of the app's own.
_CONTROL_BEGINS = (
    r"^\s*(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|SET|SHOW)"
)
_CONTROL = rf"{_CONTROL_BEGINS}\M"  # a word's end, as PostgreSQL writes it
_HOUSEKEEPING = re.compile(rf"{_RESET}|{_CONTROL_BEGINS}\b", re.IGNORECASE)

_COUNTERS = """
SELECT /* course probe */
    coalesce(sum(calls) FILTER (WHERE query !~* %(reset)s), 0)::float8 AS statements,
    coalesce(sum(calls) FILTER (WHERE query ~* %(reset)s), 0)::float8 AS resets,
    coalesce(sum(rows) FILTER (WHERE query !~* %(reset)s), 0)::float8 AS rows,
    coalesce(sum(shared_blks_hit + shared_blks_read + temp_blks_read), 0)::float8 AS buffers,
    (SELECT dealloc::float8 FROM {statistics}.pg_stat_statements_info) AS forgotten,
    (SELECT sessions::float8 FROM pg_stat_database WHERE datname = current_database()) AS sessions
FROM {statistics}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND {whose}
"""
# By their text where both are the same user: everybody can write that into a statement.
_NOT_THE_PROBES = "query NOT LIKE '%%course probe%%'"
_OF_USER = "userid = (SELECT oid FROM pg_roles WHERE rolname = %(user)s)"
# Qualified names, because whoever may make a schema can put a view of the same name before it.
_SCHEMA = """
SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'pg_stat_statements'
"""
_CONNECTIONS = """
SELECT /* course probe */ count(*) AS connections FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND extract(epoch FROM state_change) >= %(since)s
"""
_NOW = "SELECT /* course probe */ extract(epoch FROM clock_timestamp()) AS now"

# A backend that ends reports its session after the client has gone: wait for two equal
# readings in a row, for at most this long.
_SETTLE_SECONDS = 0.5
# 5 % (USAGE_DEALLOC_PERCENT) of the 5000 statements that are kept by default.
_FORGOTTEN_AT_ONCE = 250
_SETTLE_STEP_SECONDS = 0.02


def is_housekeeping(text: str) -> bool:
    """Whether all that a client sends in one text is a driver's or pool's own: nothing is asked."""
    statements = [part for part in text.split(";") if part.strip()]
    return bool(statements) and all(map(_HOUSEKEEPING.match, statements))


class PostgresProbe:
    """Counts what one database did. Holds one connection of its own, which is not counted.

    Args:
        dsn: the database whose work is counted; needs the extension pg_stat_statements.
        user: count this user's statements only; all but the probe's own if not given.
        count_control: whether BEGIN, COMMIT, SET and their like are statements, too.
    """

    def __init__(self, dsn: str, *, user: str = "", count_control: bool = True) -> None:
        self._not_counted = _RESET if count_control else f"{_RESET}|{_CONTROL}"
        self._user = user
        self._connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
        self._connection.execute("SET search_path = pg_catalog")
        self._counters = self._written_counters()
        self._postmaster = self._find_postmaster()
        self._settled()

    def start(self) -> None:
        """Begin to count."""
        self._before = self._settled()
        self._since = self._query(_NOW)["now"]
        self._cpu_before = self._cpu_seconds()

    def stop(self) -> Sequence[Reading]:
        """Statements, rows, buffers, sessions and CPU since ``start``.

        Connections are those that were used since then and are still open: apps that are compared
        share the database, and their pools stay open.

        CPU only where the system tells it, of a server on this machine.
        """
        cpu_now = self._cpu_seconds()
        connections = self._query(_CONNECTIONS, since=self._since)["connections"]
        after = self._settled()
        delta = {name: after[name] - self._before[name] for name in after}
        # Statements beyond `pg_stat_statements.max` push others out, some 5 % of them at a time.
        forgotten = delta["forgotten"] * _FORGOTTEN_AT_ONCE
        readings = [
            Reading("SQL statements", delta["statements"] + forgotten),
            Reading("pool reset statements", delta["resets"]),
            Reading("rows", delta["rows"]),
            Reading("buffers", delta["buffers"]),
            Reading("PostgreSQL sessions", delta["sessions"]),
            Reading("PostgreSQL connections used", connections, per_request=False),
        ]
        worked = delta["statements"] + delta["resets"] + delta["sessions"] > 0
        return [*readings, *self._cpu(cpu_now, worked)]

    def close(self) -> None:
        """Give the probe's connection back."""
        self._connection.close()

    def _cpu(self, now: float | None, worked: bool) -> list[Reading]:
        if now is None or self._cpu_before is None:
            return []
        # What an idle server uses has nothing to do with the app.
        used_us = (now - self._cpu_before) * 1e6 if worked else 0.0
        if worked and used_us <= 0:
            return []  # no work is done for nothing: the clock has not told yet
        return [Reading("PostgreSQL CPU", used_us, unit="µs")]

    def _written_counters(self) -> sql.Composed:
        row = self._connection.execute(_SCHEMA).fetchone()
        # Without the extension PostgreSQL says so in its own words, as of any missing relation.
        schema = str(row["nspname"]) if row else "public"
        whose = sql.SQL(_OF_USER if self._user else _NOT_THE_PROBES)
        return sql.SQL(_COUNTERS).format(statistics=sql.Identifier(schema), whose=whose)

    def _query(self, query: LiteralString | sql.Composed, **values: float) -> dict[str, float]:
        named = {"reset": self._not_counted, "user": self._user, **values}
        row = self._connection.execute(query, named).fetchone()
        return {name: float(value) for name, value in (row or {}).items()}

    def _settled(self) -> dict[str, float]:
        deadline = time.monotonic() + _SETTLE_SECONDS
        last = self._query(self._counters)
        while time.monotonic() < deadline:
            time.sleep(_SETTLE_STEP_SECONDS)
            now = self._query(self._counters)
            if now == last:
                break
            last = now
        return last

    def _find_postmaster(self) -> psutil.Process | None:
        # Only a server on this machine has a process to read; its backend's parent is it.
        with contextlib.suppress(psutil.Error):
            backend = psutil.Process(self._connection.info.backend_pid)
            parent = backend.parent()
            if "postgres" in backend.name() and parent and "postgres" in parent.name():
                return parent
        return None

    def _cpu_seconds(self) -> float | None:
        return tree_cpu_seconds(self._postmaster) if self._postmaster else None
