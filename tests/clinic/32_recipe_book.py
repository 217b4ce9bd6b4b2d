"""The newest forty recipes, each with the name of its chef. We moved the page from async back to a
plain function, since somebody said that our ORM blocks, and doubled the threads. Nothing changed:
it stays five times slower than we think it should, and the slow query log remains empty."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import ForeignKey, create_engine, make_url, orm, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

ROUTES = [{"method": "GET", "path": "/recipes?before={last}", "values": {"last": [100, 20000]}}]


class Base(DeclarativeBase): ...


class Chef(Base):
    __tablename__ = "recipe_chefs"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Recipe(Base):
    __tablename__ = "recipe_recipes"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    chef_id: Mapped[int] = mapped_column(ForeignKey("recipe_chefs.id"))
    chef: Mapped[Chef] = relationship()


class ChefOut(BaseModel, from_attributes=True):
    id: int
    name: str


class RecipeOut(BaseModel, from_attributes=True):
    id: int
    title: str
    chef: ChefOut


class Page(BaseModel):
    recipes: list[RecipeOut]


FILL = (
    "INSERT INTO recipe_chefs SELECT n, 'Chef ' || n FROM generate_series(1, 5000) n "
    "WHERE NOT EXISTS (SELECT 1 FROM recipe_chefs)",
    "INSERT INTO recipe_recipes (id, title, chef_id) SELECT n, 'Recipe ' || n, n * 7 % 5000 + 1 "
    "FROM generate_series(1, 20000) n WHERE NOT EXISTS (SELECT 1 FROM recipe_recipes)",
)


def _build(postgres_dsn: str, *options: Any) -> FastAPI:
    url = make_url(postgres_dsn).set(drivername="postgresql+psycopg")
    engine = create_engine(url, pool_size=40, max_overflow=0)
    sessions = orm.sessionmaker(engine)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(70102)"))
            Base.metadata.create_all(connection)
            for statement in FILL:
                connection.execute(text(statement))
            connection.execute(text("ANALYZE recipe_chefs, recipe_recipes"))
        yield
        engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/recipes")
    def newest(before: int) -> Page:
        page = select(Recipe).where(Recipe.id < before).order_by(Recipe.id.desc()).limit(40)
        with sessions() as session:
            recipes = session.scalars(page.options(*options)).all()
            return Page.model_validate({"recipes": recipes})

    return app


def create_app(postgres_dsn: str) -> FastAPI:
    return _build(postgres_dsn)


def create_cured(postgres_dsn: str) -> FastAPI:
    return _build(postgres_dsn, joinedload(Recipe.chef))
