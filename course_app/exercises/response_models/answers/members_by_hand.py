"""Rows without a name are left out by hand, and the rest is validated."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import asyncpg
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel

Limit = Annotated[int, Query(ge=1, le=500)]
PAGE = "SELECT id, name, bio, created_at FROM users WHERE id > $1 ORDER BY id LIMIT $2"
ONE = "SELECT id, name, bio, created_at FROM users WHERE id = $1"


class Member(BaseModel):
    id: int
    name: str
    bio: str | None
    created_at: datetime


class Page(BaseModel):
    members: list[Member]
    left_out: int


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/members")
    async def list_members(after: int = 0, limit: Limit = 100) -> Page:
        rows = await app.state.pool.fetch(PAGE, after, limit)
        members = [Member(**row) for row in rows if row["name"]]
        return Page(members=members, left_out=len(rows) - len(members))

    @app.get("/members/{member_id}")
    async def read_member(member_id: int) -> Member:
        row = await app.state.pool.fetchrow(ONE, member_id)
        if row is None or not row["name"]:
            raise HTTPException(404, "No such member")
        return Member(**row)

    return app
