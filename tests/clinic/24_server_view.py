"""Our ORM makes queries so easy that nobody sees them. The list of the newest posts with their
authors shows 25 entries. It was fine with the three entries of our test data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

ROUTES = [{"method": "GET", "path": "/newest?skip={skip}", "values": {"skip": [0, 200]}}]


class Base(AsyncAttrs, DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    author: Mapped[User] = relationship()


def build(postgres_dsn: str, options: tuple[Any, ...]) -> FastAPI:
    engine = create_async_engine(
        postgres_dsn.replace("postgresql://", "postgresql+asyncpg://"), pool_size=8
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    async def entry(post: Post) -> dict[str, Any]:
        author = await post.awaitable_attrs.author
        return {"id": post.id, "title": post.title, "author": author.name}

    @app.get("/newest")
    async def newest(skip: int = 0) -> list[dict[str, Any]]:
        query = select(Post).order_by(Post.id.desc()).offset(skip).limit(25).options(*options)
        async with AsyncSession(engine) as session:
            return [await entry(post) for post in await session.scalars(query)]

    return app


def create_app(postgres_dsn: str) -> FastAPI:
    return build(postgres_dsn, ())


def create_cured(postgres_dsn: str) -> FastAPI:
    """The authors of all posts by one more statement."""
    return build(postgres_dsn, (selectinload(Post.author),))
