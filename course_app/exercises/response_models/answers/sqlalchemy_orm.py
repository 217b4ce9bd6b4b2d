"""SQLAlchemy's ORM, of which models take what they show."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase): ...


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    bio: Mapped[str | None]
    created_at: Mapped[datetime]


class Member(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    name: Annotated[str, StringConstraints(min_length=1)]
    bio: str | None
    created_at: datetime


class Page(BaseModel):
    members: list[Member]
    left_out: int


def create_app(postgres_dsn: str) -> FastAPI:
    url = make_url(postgres_dsn).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, pool_size=4, max_overflow=0)
    sessions = async_sessionmaker(engine)
    columns = (User.id, User.name, User.bio, User.created_at)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/members", response_model=Page)
    async def list_members(after: int = 0, limit: Annotated[int, Query(ge=1, le=500)] = 100):
        query = select(*columns).where(User.id > after).order_by(User.id).limit(limit)
        async with sessions() as session:
            rows = (await session.execute(query)).all()
        members = []
        for row in rows:
            try:
                members.append(Member.model_validate(row))
            except ValidationError:
                continue
        return Page(members=members, left_out=len(rows) - len(members))

    @app.get("/members/{member_id}", response_model=Member)
    async def read_member(member_id: int):
        async with sessions() as session:
            row = (await session.execute(select(*columns).where(User.id == member_id))).first()
        if row is None or not row.name:
            raise HTTPException(404, "No such member")
        return Member.model_validate(row)

    return app
