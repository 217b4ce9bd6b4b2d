"""SQLAlchemy's ORM: authors by JOIN, tags by one query for the whole page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query
from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Table, Text, select, text, tuple_
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)


class Base(DeclarativeBase): ...


post_tags = Table(
    "post_tags",
    Base.metadata,
    Column("post_id", ForeignKey("posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text)


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text, deferred=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    author: Mapped[User | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=post_tags, order_by=Tag.name)


def create_app(postgres_dsn: str) -> FastAPI:
    engine = create_async_engine(
        make_url(postgres_dsn).set(drivername="postgresql+asyncpg"), pool_size=4, max_overflow=0
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)

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
        query = (
            select(Post)
            .options(joinedload(Post.author), selectinload(Post.tags))
            .order_by(Post.created_at.desc(), Post.id.desc())
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
            query = query.where(tuple_(Post.created_at, Post.id) < tuple_(at, number))
        async with sessions() as session:
            rows = (await session.scalars(query)).all()
        page = [
            {
                "id": p.id,
                "title": p.title,
                "author": p.author and p.author.name,
                "tags": [t.name for t in p.tags],
            }
            for p in rows
        ]
        after = f"{rows[-1].created_at.isoformat()}_{rows[-1].id}" if len(rows) == limit else None
        return {"posts": page, "next": after}

    return app
