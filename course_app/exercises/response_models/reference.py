"""A good answer; ``solution(...)`` shows its source."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import asyncpg
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel, Field, ValidationError

logger = logging.getLogger(__name__)

Limit = Annotated[int, Query(ge=1, le=500)]

COLUMNS = "id, name, bio, created_at"
PUBLIC_PAGE = f"SELECT {COLUMNS} FROM users WHERE id > $1 ORDER BY id LIMIT $2"
PUBLIC_ONE = f"SELECT {COLUMNS} FROM users WHERE id = $1"


class Member(BaseModel):
    """What everybody may know."""

    id: int
    name: Annotated[str, Field(min_length=1)]
    bio: str | None
    created_at: datetime


class Page(BaseModel):
    members: list[Member]
    left_out: int


def member_of(row: asyncpg.Record | None) -> Member | None:
    """A row as a member; None if there is none, or if it does not fit."""
    if row is None:
        return None
    try:
        return Member.model_validate(dict(row))
    except ValidationError as error:
        # If a change of the table makes all rows misfits, the empty list alone would not say why.
        logger.warning("User %s is no member: %s", row["id"], error)
        return None


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=4) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/members")
    async def list_members(after: int = 0, limit: Limit = 100) -> Page:
        rows = await app.state.pool.fetch(PUBLIC_PAGE, after, limit)
        members = [member for member in map(member_of, rows) if member is not None]
        return Page(members=members, left_out=len(rows) - len(members))

    @app.get("/members/{member_id}")
    async def read_member(member_id: int) -> Member:
        member = member_of(await app.state.pool.fetchrow(PUBLIC_ONE, member_id))
        if member is None:
            raise HTTPException(404, "No such member")
        return member

    return app
