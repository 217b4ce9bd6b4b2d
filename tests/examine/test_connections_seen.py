"""Every library's connections are seen: opened, and what belongs to that."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from itertools import groupby

import pytest
from representatives import others_slow

from course_app.services import Services

PROGRAM = """\
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from course_app.examine.instruments import calls, visits

calls.install()
visit = visits.Visit({{"path": "/", "query_string": b""}})
visits.VISIT.set(visit)
postgres_dsn, valkey_url = sys.argv[1:]


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


listening = HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=listening.serve_forever, daemon=True).start()
server = f"http://127.0.0.1:{{listening.server_port}}"


async def request():
{body}


asyncio.run(request())
print(json.dumps({{
    "missing": calls.missing,
    "seen": [[c.kind, c.opens, c.awaited] for c in visit.connects],
    "spans": all(c.end > c.begin and c.end_cpu >= c.begin_cpu for c in visit.connects),
}}))
"""

OPENED, OPENED_NOW = [True, True], [True, False]
CLOSED, MADE = [False, True], [False, False]

REQUESTS = {
    "asyncpg": (
        "import asyncpg; c = await asyncpg.connect(postgres_dsn); await c.close()",
        [["sql", *OPENED], ["sql", *CLOSED]],
    ),
    "asyncpg, a pool": (
        "import asyncpg\nasync with asyncpg.create_pool(postgres_dsn, min_size=1): pass",
        [["sql", *MADE], ["sql", *OPENED], ["sql", *CLOSED]],
    ),
    "psycopg": ("import psycopg; psycopg.connect(postgres_dsn).close()", [["sql", *OPENED_NOW]]),
    "psycopg, awaited": (
        "import psycopg; await (await psycopg.AsyncConnection.connect(postgres_dsn)).close()",
        [["sql", *OPENED]],
    ),
    "psycopg2": (
        "import psycopg2; psycopg2.connect(postgres_dsn).close()",
        [["sql", *OPENED_NOW]],
    ),
    "SQLAlchemy": (
        "from sqlalchemy import create_engine, make_url\n"
        "create_engine(make_url(postgres_dsn).set(drivername='postgresql+psycopg')).connect()",
        [["sql", *MADE], ["sql", *OPENED_NOW]],
    ),
    "SQLAlchemy, awaited": (
        "from sqlalchemy import make_url\n"
        "from sqlalchemy.ext.asyncio import create_async_engine\n"
        "url = make_url(postgres_dsn).set(drivername='postgresql+asyncpg')\n"
        "engine = create_async_engine(url)\nasync with engine.connect(): pass\n"
        "await engine.dispose()",
        [["sql", *MADE], ["sql", *OPENED], ["sql", *CLOSED]],
    ),
    "redis": (
        "import redis; c = redis.from_url(valkey_url); c.ping(); c.close()",
        [["redis", *MADE], ["redis", *OPENED_NOW], ["redis", *MADE]],
    ),
    "valkey": (
        "import valkey; c = valkey.from_url(valkey_url); c.ping(); c.close()",
        [["redis", *MADE], ["redis", *OPENED_NOW], ["redis", *MADE]],
    ),
    "valkey, awaited": (
        "import valkey.asyncio; c = valkey.asyncio.from_url(valkey_url)\n"
        "await c.ping(); await c.aclose()",
        [["redis", *MADE], ["redis", *OPENED], ["redis", *CLOSED]],
    ),
    "httpx": (
        "import httpx\nasync with httpx.AsyncClient() as c: await c.get(server)",
        [["http", *MADE], ["http", *OPENED]],
    ),
    "httpx, not awaited": (
        "import httpx\nwith httpx.Client() as c: c.get(server)",
        [["http", *MADE], ["http", *OPENED_NOW]],
    ),
    "aiohttp": (
        "import aiohttp\n"
        "async with aiohttp.ClientSession() as c, c.get(server) as answer: await answer.read()",
        [["http", *MADE], ["http", *OPENED]],
    ),
    "redis, awaited": (
        "import redis.asyncio; c = redis.asyncio.from_url(valkey_url)\n"
        "await c.ping(); await c.aclose()",
        [["redis", *MADE], ["redis", *OPENED], ["redis", *CLOSED]],
    ),
}


@pytest.mark.parametrize("library", others_slow(5, REQUESTS))
def test_a_connection_is_seen_with_what_belongs_to_it(library: str, services: Services) -> None:
    body, seen = REQUESTS[library]
    program = PROGRAM.format(body=textwrap.indent(body, "    "))
    done = subprocess.run(
        [sys.executable, "-c", program, services.postgres_dsn, services.valkey_url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = json.loads(done.stdout)
    assert said["missing"] == []
    # A client disconnects as often as it likes.
    assert [each for each, _ in groupby(said["seen"])] == seen
    assert said["spans"]
