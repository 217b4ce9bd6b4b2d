"""How PostgreSQL carries out the statements that were seen: EXPLAIN ANALYZE, in a transaction that
may not write, with a time limit.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

_STATEMENT_SECONDS = 3
_SECONDS = 8.0
_MOST_STATEMENTS = 30

#: What only reads, as far as its text tells; the transaction refuses the rest anyway.
_READS = re.compile(r"^\s*(/\*.*?\*/\s*)?(select|with|values|table)\b", re.IGNORECASE | re.DOTALL)
_LOCKS = re.compile(r"\bfor\s+(no\s+key\s+)?(update|share|key\s+share)\b", re.IGNORECASE)
_OFFSET = re.compile(r"\boffset\s+(\$\d+(?:::\w+)?|%s|%\(\w+\)s(?:::\w+)?|\d+)", re.IGNORECASE)


def explain(kept: dict[str, list[Any]], dsn: str) -> dict[str, Any]:
    """Plans of the statements with arguments that came with them; and without their OFFSET.

    The answer maps each text to a list of plans (as PostgreSQL writes them in JSON), or to a
    sentence that says why there is none.
    """
    return asyncio.run(_explain({text: list(args) for text, args in kept.items()}, dsn))


async def _explain(kept: dict[str, list[Any]], dsn: str) -> dict[str, Any]:
    import asyncpg

    from course_app.examine.instruments.visits import VISIT

    VISIT.set(None)
    found: dict[str, Any] = {}
    connection = await asyncpg.connect(dsn)
    end = time.monotonic() + _SECONDS
    try:
        await connection.execute(f"SET statement_timeout = {1000 * _STATEMENT_SECONDS}")
        await connection.execute("SET default_transaction_read_only = on")
        for text, many in list(kept.items())[:_MOST_STATEMENTS]:
            if time.monotonic() > end:
                break
            if not _READS.match(text) or _LOCKS.search(text):
                continue
            try:
                found[text] = await _one(connection, text, many, dsn)
            except Exception as error:
                found[text] = f"{type(error).__name__}: {error}"
    finally:
        await connection.close()
    return {"plans": found}


async def _one(connection: Any, text: str, many: list[Any], dsn: str) -> dict[str, Any]:
    run = _by_psycopg(dsn) if "$1" not in text and any(many) else _by_asyncpg(connection)
    plans = [await run(text, args) for args in many[:4]]
    found: dict[str, Any] = {"plans": plans}
    if _OFFSET.search(text):
        near = _OFFSET.sub(lambda m: f"OFFSET ({m[1]}) * 0", text)
        found["near"] = [await run(near, args) for args in many[:4]]
    return found


def _by_asyncpg(connection: Any) -> Any:
    async def run(text: str, args: Any) -> Any:
        query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}"
        values = args if isinstance(args, list | tuple) else ()
        async with connection.transaction(readonly=True):
            return json.loads(await connection.fetchval(query, *values))[0]

    return run


def _by_psycopg(dsn: str) -> Any:
    async def run(text: str, args: Any) -> Any:
        import psycopg

        def now() -> Any:
            with psycopg.connect(dsn) as connection:
                connection.read_only = True
                connection.execute(f"SET LOCAL statement_timeout = {1000 * _STATEMENT_SECONDS}")
                query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}"
                row = connection.execute(query, args).fetchone()
                return row[0][0] if row else None

        return await asyncio.to_thread(now)

    return run
