"""SQLAlchemy Core; without AUTOCOMMIT, so that each query stands in a transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

metadata = MetaData()
users = Table("users", metadata, Column("id", BigInteger, primary_key=True), Column("name", Text))
posts = Table(
    "posts",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("author_id", BigInteger),
    Column("title", Text),
    Column("created_at", DateTime(timezone=True)),
)
tags = Table("tags", metadata, Column("id", BigInteger, primary_key=True), Column("name", Text))
post_tags = Table(
    "post_tags",
    metadata,
    Column("post_id", BigInteger, primary_key=True),
    Column("tag_id", BigInteger, primary_key=True),
)


def create_app(postgres_dsn: str) -> FastAPI:
    engine = create_async_engine(
        make_url(postgres_dsn).set(drivername="postgresql+asyncpg"), pool_size=4, max_overflow=0
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as conn:
            await conn.execute(
                text("CREATE INDEX IF NOT EXISTS ix_posts_created_at_id ON posts (created_at, id)")
            )
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/report")
    async def report(
        limit: Annotated[int, Query(ge=1, le=100)] = 20, cursor: str | None = None
    ) -> dict[str, Any]:
        names = (
            select(func.array_agg(aggregate_order_by(tags.c.name, tags.c.name)))
            .select_from(post_tags.join(tags, tags.c.id == post_tags.c.tag_id))
            .where(post_tags.c.post_id == posts.c.id)
            .scalar_subquery()
        )
        query = (
            select(
                posts.c.id,
                posts.c.title,
                posts.c.created_at,
                users.c.name.label("author"),
                names.label("tags"),
            )
            .select_from(posts.outerjoin(users, users.c.id == posts.c.author_id))
            .order_by(posts.c.created_at.desc(), posts.c.id.desc())
            .limit(limit)
        )
        if cursor is not None:
            try:
                stamp, number = cursor.split("_")
                at, number = datetime.fromisoformat(stamp), int(number)
                if at.tzinfo is None or not 0 < number < 2**63:
                    raise ValueError
                at = at.astimezone(UTC)
            except (ValueError, OverflowError):
                raise HTTPException(422, "cursor") from None
            query = query.where(tuple_(posts.c.created_at, posts.c.id) < tuple_(at, number))
        async with engine.connect() as conn:
            rows = (await conn.execute(query)).all()
        page = [
            {"id": r.id, "title": r.title, "author": r.author, "tags": r.tags or []} for r in rows
        ]
        after = f"{rows[-1].created_at.isoformat()}_{rows[-1].id}" if len(rows) == limit else None
        return {"posts": page, "next": after}

    return app
