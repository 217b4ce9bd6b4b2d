"""The cleaner: outlives its lab, and removes what the lab made on servers of somebody else.

A program of its own, run on a lab's folder as an `OwnedProcess`. It reads the ledger there, and on
SIGTERM (its keeper sends it when the lab's owner ends in any way) drops the databases and empties
the Valkey database numbers named in it. Until then it holds a connection to each of these numbers,
so that no other lab takes one that is about to be emptied.
"""

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import psycopg
import redis
from psycopg import sql

LEDGER = "ledger.jsonl"
READY = "ready"
POLL_SECONDS = 0.05
CLIENT_NAME = "course-lab"


def drop_statement(database: str) -> sql.Composed:
    """Drop a database, ending the sessions that still use it."""
    return sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))


def reserve(url: str, *, shared: bool = False) -> "redis.Redis | None":
    """A connection that marks a database number as taken; None if it is, or holds keys.

    With `shared`, the number is known to be this lab's, and only marked once more.

    Raises:
        redis.RedisError: no such number, or no such server.
    """
    client = redis.Redis.from_url(url, single_connection_client=True, client_name=CLIENT_NAME)
    if shared:
        return client
    number, own = client.connection_pool.connection_kwargs["db"], client.client_id()
    rivals = [
        int(entry["id"])
        for entry in client.client_list()
        if entry["name"] == CLIENT_NAME and int(entry["db"]) == number
    ]
    # When two labs mark a number at the same moment both see both, and the first keeps it.
    if min(rivals) == own and client.dbsize() == 0:
        return client
    client.close()
    return None


def main(folder: str) -> None:
    """Wait for the end of the lab, then clean."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    ledger = Path(folder) / LEDGER
    held: dict[str, redis.Redis | None] = {}
    try:
        (Path(folder) / READY).touch()
        while True:
            for url in (entry["valkey"] for entry in _entries(ledger, "valkey")):
                if url not in held:
                    held[url] = reserve(url, shared=True)
            time.sleep(POLL_SECONDS)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _clean(ledger)


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _entries(ledger: Path, kind: str) -> list[dict[str, str]]:
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    return [entry for entry in entries if kind in entry]


def _clean(ledger: Path) -> None:
    for entry in _entries(ledger, "valkey"):
        with redis.Redis.from_url(entry["valkey"]) as client:
            client.flushdb()
    for entry in _entries(ledger, "database"):
        with psycopg.connect(entry["server"], autocommit=True) as connection:
            connection.execute(drop_statement(entry["database"]))
