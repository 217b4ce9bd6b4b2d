"""The patients of lesson 16: four small apps whose owners complain. Do not read them first."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException


def _with_pool(postgres_dsn: str, size: int) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=size, max_size=size) as pool:
            app.state.pool = pool
            yield

    return FastAPI(lifespan=lifespan)


# A wholesaler's library, as it was bought.


class Wholesaler:
    """Asks for a price over the network."""

    def price(self, article: int) -> int:
        time.sleep(0.012)  # its answer takes so long
        return 100 + article % 900


def create_shop() -> FastAPI:
    """Prices of a wholesaler, and our own stock."""
    app, wholesaler = FastAPI(), Wholesaler()

    @app.get("/prices/{article}")
    async def read_price(article: int) -> dict[str, int]:
        return {"article": article, "price": wholesaler.price(article)}

    @app.get("/stock/{article}")
    async def read_stock(article: int) -> dict[str, int]:
        return {"article": article, "pieces": article % 7}

    return app


def create_shop_mended() -> FastAPI:
    """The same; who waits does so in a worker thread."""
    app, wholesaler = FastAPI(), Wholesaler()

    @app.get("/prices/{article}")
    def read_price(article: int) -> dict[str, int]:
        return {"article": article, "price": wholesaler.price(article)}

    @app.get("/stock/{article}")
    async def read_stock(article: int) -> dict[str, int]:
        return {"article": article, "pieces": article % 7}

    return app


def create_authors(postgres_dsn: str) -> FastAPI:
    """The newest posts, with their authors' names."""
    app = _with_pool(postgres_dsn, 8)

    @app.get("/newest")
    async def newest(limit: int = 20) -> list[dict[str, Any]]:
        posts = await app.state.pool.fetch(
            "SELECT id, title, author_id FROM posts ORDER BY id DESC LIMIT $1", limit
        )
        page = []
        for post in posts:
            author = await app.state.pool.fetchrow(
                "SELECT name FROM users WHERE id = $1", post["author_id"]
            )
            page.append({"id": post["id"], "title": post["title"], "author": author["name"]})
        return page

    return app


def create_authors_mended(postgres_dsn: str) -> FastAPI:
    """The same in one statement."""
    app = _with_pool(postgres_dsn, 8)

    @app.get("/newest")
    async def newest(limit: int = 20) -> list[dict[str, Any]]:
        rows = await app.state.pool.fetch(
            "SELECT p.id, p.title, u.name AS author FROM posts p JOIN users u ON u.id = p.author_id"
            " ORDER BY p.id DESC LIMIT $1",
            limit,
        )
        return [dict(row) for row in rows]

    return app


async def ask_shipping(number: int) -> str:
    """Another service, 15 ms away."""
    await asyncio.sleep(0.015)
    return f"parcel {number} is on its way"


def create_parcels(postgres_dsn: str) -> FastAPI:
    """Where a customer's parcel is."""
    app = _with_pool(postgres_dsn, 4)

    @app.get("/parcels/{user_id}")
    async def read_parcel(user_id: int) -> dict[str, str]:
        async with app.state.pool.acquire() as connection:
            name = await connection.fetchval("SELECT name FROM users WHERE id = $1", user_id)
            if name is None:
                raise HTTPException(404, "No such customer")
            return {"to": name, "state": await ask_shipping(user_id)}

    return app


def create_parcels_mended(postgres_dsn: str) -> FastAPI:
    """The same; the connection is given back before anybody else is asked."""
    app = _with_pool(postgres_dsn, 4)

    @app.get("/parcels/{user_id}")
    async def read_parcel(user_id: int) -> dict[str, str]:
        name = await app.state.pool.fetchval("SELECT name FROM users WHERE id = $1", user_id)
        if name is None:
            raise HTTPException(404, "No such customer")
        return {"to": name, "state": await ask_shipping(user_id)}

    return app


def create_profiles(postgres_dsn: str) -> FastAPI:
    """A customer's profile, by primary key."""
    app = _with_pool(postgres_dsn, 8)

    @app.get("/profiles/{user_id}")
    async def read_profile(user_id: int) -> dict[str, Any]:
        row = await app.state.pool.fetchrow(
            "SELECT id, name, email FROM users WHERE id = $1", user_id
        )
        if row is None:
            raise HTTPException(404, "No such customer")
        return dict(row)

    return app
