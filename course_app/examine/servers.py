"""What the lab's PostgreSQL and Valkey counted meanwhile: a look that the app has no part in."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_STATEMENTS = """
SELECT /* examiner */ query, sum(calls)::float8 FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query NOT LIKE '%%examiner%%' GROUP BY query
"""
_SCANS = """
SELECT /* examiner */ relname, sum(seq_tup_read)::float8 FROM pg_stat_user_tables GROUP BY relname
"""
_SESSIONS = """
SELECT /* examiner */ sessions::float8 FROM pg_stat_database WHERE datname = current_database()
"""
_STATES = """
SELECT /* examiner */ state = 'active', count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND leader_pid IS NULL GROUP BY 1
"""
_EVERY_SECONDS = 0.05


class Servers:
    """Reads the counters of the lab's servers; only what the app is given is looked at."""

    def __init__(self, services: Mapping[str, str]) -> None:
        self._dsn = services.get("postgres_dsn")
        self._url = services.get("valkey_url")
        self._postgres: Any = None
        self._valkey: Any = None
        if self._dsn:
            import psycopg

            with suppress(psycopg.Error):
                self._postgres = psycopg.connect(self._dsn, autocommit=True)
        if self._url:
            import redis

            self._valkey = redis.Redis.from_url(self._url)

    def read(self) -> dict[str, Any]:
        """Totals now; empty for a server that is not looked at."""
        found: dict[str, Any] = {}
        if self._postgres is not None:
            found["executed"] = dict(self._postgres.execute(_STATEMENTS).fetchall())
            found["scanned"] = dict(self._postgres.execute(_SCANS).fetchall())
            row = self._postgres.execute(_SESSIONS).fetchone()
            found["sessions"] = row[0] if row else 0.0
        if self._valkey is not None:
            found["connections"] = float(self._valkey.info()["total_connections_received"])
        return found

    def watch(self, states: Counter[str]) -> threading.Event:
        """Count what the sessions do, until the event is set."""
        done = threading.Event()
        if self._dsn:
            threading.Thread(target=self._watch, args=(states, done), daemon=True).start()
        return done

    def _watch(self, states: Counter[str], done: threading.Event) -> None:
        import psycopg

        assert self._dsn is not None
        with suppress(psycopg.Error), psycopg.connect(self._dsn, autocommit=True) as connection:
            while not done.wait(_EVERY_SECONDS):
                for active, count in connection.execute(_STATES).fetchall():
                    states["active" if active else "other"] += count

    def close(self) -> None:
        """Give the connections back."""
        for client in (self._postgres, self._valkey):
            if client is not None:
                client.close()


def difference(before: dict[str, Any], after: dict[str, Any], requests: int) -> dict[str, Any]:
    """What came between, for each request."""
    found: dict[str, Any] = {}
    many = max(1, requests)
    for name in ("executed", "scanned"):
        if name in after:
            found[name] = {
                key: (value - before[name].get(key, 0.0)) / many
                for key, value in after[name].items()
            }
    for name in ("sessions", "connections"):
        if name in after:
            found[name] = (after[name] - before[name]) / many
    return found
