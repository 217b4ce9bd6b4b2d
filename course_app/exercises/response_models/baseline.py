"""The directory that the learner starts from: it tells everything, and slowly."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from fastapi import FastAPI, HTTPException, Query

Limit = Annotated[int, Query(ge=1, le=500)]

PAGE = "SELECT * FROM users WHERE id > $1 ORDER BY id LIMIT $2"
ONE = "SELECT * FROM users WHERE id = $1"


def telling_directory(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/members")
    async def list_members(after: int = 0, limit: Limit = 100):
        rows = await app.state.pool.fetch(PAGE, after, limit)
        return {"members": [dict(row) for row in rows], "left_out": 0}

    @app.get("/members/{member_id}")
    async def read_member(member_id: int):
        row = await app.state.pool.fetchrow(ONE, member_id)
        if row is None:
            raise HTTPException(404, "No such member")
        return dict(row)

    return app
