"""The cleaner: outlives its lab, and removes what the lab made on servers of somebody else.

A program of its own, run on a lab's folder as an `OwnedProcess`. It reads the ledger there, and on
SIGTERM (its keeper sends it when the lab's owner ends in any way), and only then, drops the
databases and empties the Valkey database numbers named in it. Until then it holds a connection to
each of these numbers, and uses it now and then so that the server keeps it: no other lab takes a
number that is about to be emptied. What fails for one entry does not keep it from the others.
"""

import json
import random
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

import psycopg
import redis
from psycopg import sql

from course_app.system.signals import ENDS, leave_when_told

LEDGER = "ledger.jsonl"
READY = "ready"
POLL_SECONDS = 0.05
#: Servers may close connections that idle (their setting `timeout`, often some minutes).
PING_SECONDS = 30.0
CLIENT_NAME = "course-lab"
_TRIES, _PAUSE_SECONDS = 5, 0.05
#: Of a connection whose lab has yet to look whether it may have the number.
CLAIMS_NAME = "course-lab-claims"


def drop_statement(database: str) -> sql.Composed:
    """Drop a database, ending the sessions that still use it."""
    return sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))


def reserve(url: str, *, shared: bool = False) -> "redis.Redis | None":
    """A connection that marks a database number as taken; None if it is, or holds keys.

    With `shared`, the number is known to be this lab's, and only marked once more.

    Raises:
        redis.RedisError: no such number, or no such server.
    """
    if shared:
        return _connected(url, CLIENT_NAME)
    for _ in range(_TRIES):
        with ExitStack() as opened:
            client = _connected(url, CLAIMS_NAME)
            opened.callback(client.close)
            if _rivals(client, taken=True) or client.dbsize():
                return None
            client.client_setname(CLIENT_NAME)
            client.connection_pool.connection_kwargs["client_name"] = CLIENT_NAME
            # Ids are given when labs connect, and marks come later. A rival that had looked around
            # before our mark was there has the number now, which the look above found; or it sees
            # us as we see it, and the first stays, or gave up because we were there: look again.
            own = client.client_id()
            if all(rival > own for rival in _rivals(client, taken=False)):
                opened.pop_all()
                return client
        time.sleep(_PAUSE_SECONDS * random.random())
    return None


def _connected(url: str, name: str) -> redis.Redis:
    return redis.Redis.from_url(url, single_connection_client=True, client_name=name)


def _rivals(client: redis.Redis, *, taken: bool) -> list[int]:
    """Ids of the other connections that mark this number; ``taken``: of those that have it."""
    number, own = client.connection_pool.connection_kwargs["db"], client.client_id()
    names = (CLIENT_NAME,) if taken else (CLIENT_NAME, CLAIMS_NAME)
    return [
        int(entry["id"])
        for entry in client.client_list()
        if entry["name"] in names and int(entry["db"]) == number and int(entry["id"]) != own
    ]


def main(folder: str) -> None:
    """Wait for the end of the lab, then clean."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_when_told(0)
    ledger = Path(folder) / LEDGER
    try:
        (Path(folder) / READY).touch()
        _wait(ledger)
    except SystemExit:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        clean(ledger)


def _wait(ledger: Path) -> NoReturn:
    held: dict[str, redis.Redis | None] = {}
    pinged = time.monotonic()
    while True:
        if time.monotonic() - pinged > PING_SECONDS:
            ping(held)
            pinged = time.monotonic()
        with suppress(Exception):  # the lab is at work: whatever it is, the next turn tries again
            take(ledger, held)
        time.sleep(POLL_SECONDS)


def take(ledger: Path, held: dict[str, redis.Redis | None]) -> None:
    """Connect to the ledger's database numbers that are not held yet, as far as that goes."""
    for url in (entry["valkey"] for entry in _entries(ledger, "valkey")):
        if url not in held:
            with suppress(redis.RedisError, OSError):
                held[url] = reserve(url, shared=True)


def ping(held: dict[str, redis.Redis | None]) -> None:
    """Use every connection; what the server has closed is not held any more, to be taken again."""
    for url, client in list(held.items()):
        try:
            if client is not None:
                client.ping()
        except (redis.RedisError, OSError):
            del held[url]


def clean(ledger: Path) -> None:
    """Remove what the ledger names, each entry on its own."""
    for entry in _entries(ledger, "valkey"):
        with suppress(Exception), redis.Redis.from_url(entry["valkey"]) as client:
            client.flushdb()
    for entry in _entries(ledger, "database"):
        with suppress(Exception), psycopg.connect(entry["server"], autocommit=True) as connection:
            connection.execute(drop_statement(entry["database"]))


def _entries(ledger: Path, kind: str) -> list[dict[str, str]]:
    entries = []
    for line in ledger.read_text().splitlines():
        with suppress(ValueError):  # an owner that was killed left half a line: made nothing yet
            entries.append(json.loads(line))
    return [entry for entry in entries if kind in entry]
