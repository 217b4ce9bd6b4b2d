"""Plain `def` handlers: worker threads wait for PostgreSQL, for prices and for sessions."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query
from psycopg2.extras import RealDictCursor
from psycopg2.pool import ThreadedConnectionPool

from course_app.apps.partner import list_price, load_session

seed = 5
findings = {"n_plus_one": "newest", "connection_per_request": "read_user"}

INDICES = """
CREATE INDEX IF NOT EXISTS comments_of ON comments (post_id);
CREATE INDEX IF NOT EXISTS posts_of ON posts (author_id);
"""


def create_app(postgres_dsn: str) -> FastAPI:
    pool: Any = None
    callers = ThreadPoolExecutor(40)

    @asynccontextmanager
    async def lifespan(_app: FastAPI):
        nonlocal pool
        pool = ThreadedConnectionPool(40, 40, postgres_dsn)  # as many as there are threads
        ask_nothing(INDICES)
        yield
        pool.closeall()
        callers.shutdown()

    app = FastAPI(lifespan=lifespan)

    @contextmanager
    def cursor():
        connection = pool.getconn()
        try:
            connection.autocommit = True
            with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                yield cursor
        finally:
            pool.putconn(connection)

    def ask_nothing(statement: str) -> None:
        with cursor() as it:
            it.execute(statement)

    def ask(query: str, *values: Any) -> list[dict[str, Any]]:
        with cursor() as it:
            it.execute(query, values)
            return it.fetchall()

    def one(query: str, *values: Any) -> dict[str, Any]:
        rows = ask(query, *values)
        if not rows:
            raise HTTPException(404, "No such page")
        return rows[0]

    @app.get("/newest")
    def newest(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[dict[str, Any]]:
        return ask(
            "SELECT id, title, (SELECT name FROM users WHERE id = author_id) AS author FROM posts "
            "ORDER BY id DESC LIMIT %s",
            limit,
        )

    @app.get("/posts/{post_id}")
    def read_post(post_id: int) -> dict[str, Any]:
        post = one("SELECT id, title, body FROM posts WHERE id = %s", post_id)
        return {**post, "body": re.sub(r"[ \t]+", " ", post["body"])}

    @app.get("/posts/{post_id}/comments")
    def read_comments(post_id: int) -> list[dict[str, Any]]:
        return ask("SELECT id, body FROM comments WHERE post_id = %s ORDER BY id", post_id)

    @app.get("/users/{user_id}")
    def read_user(user_id: int) -> dict[str, Any]:
        return one(
            "SELECT id, name, (SELECT count(*) FROM posts WHERE author_id = users.id) AS posts "
            "FROM users WHERE id = %s",
            user_id,
        )

    @app.get("/members")
    def read_members(after: int = 0) -> list[dict[str, Any]]:
        return ask(
            "SELECT id, name, email, age, bio FROM users WHERE id > %s ORDER BY id LIMIT 300", after
        )

    @app.get("/offers/{article}")
    def read_offers(article: int) -> list[dict[str, Any]]:
        numbers = range(article, article + 5)
        prices = callers.map(list_price, numbers)
        return [{"article": n, "price": price} for n, price in zip(numbers, prices, strict=True)]

    @app.get("/orders/{order}")
    def read_order(order: int, token: str) -> dict[str, Any]:
        return {"order": order, "customer": load_session(token)}

    return app
