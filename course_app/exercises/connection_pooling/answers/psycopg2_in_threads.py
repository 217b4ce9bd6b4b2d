"""Synchronous handlers in 250 threads, which wait in turns for ten connections."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, HTTPException
from psycopg2.extras import RealDictCursor
from psycopg2.pool import ThreadedConnectionPool

SIZE = 10


def create_app(postgres_dsn: str) -> FastAPI:
    free = threading.BoundedSemaphore(SIZE)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 250
        app.state.pool = ThreadedConnectionPool(SIZE, SIZE, postgres_dsn)
        yield
        app.state.pool.closeall()

    app = FastAPI(lifespan=lifespan)

    @contextmanager
    def cursor() -> Iterator[RealDictCursor]:
        if not free.acquire(timeout=1):
            raise HTTPException(503, "No connection is free")
        try:
            conn = app.state.pool.getconn()
            conn.autocommit = True
            try:
                with conn.cursor(cursor_factory=RealDictCursor) as cur:
                    yield cur
            finally:
                app.state.pool.putconn(conn)
        finally:
            free.release()

    @app.get("/users/{user_id}")
    def read_user(user_id: int) -> dict[str, Any]:
        with cursor() as cur:
            cur.execute("SELECT id, name, email FROM users WHERE id = %s", [user_id])
            row = cur.fetchone()
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    @app.get("/posts/{post_id}")
    def read_post(post_id: int) -> dict[str, Any]:
        with cursor() as cur:
            cur.execute("SELECT id, title, author_id FROM posts WHERE id = %s", [post_id])
            row = cur.fetchone()
            if row is None:
                raise HTTPException(404, "No such post")
            # A line that begins with a placeholder is no magic of a notebook.
            author_of = """
                SELECT name FROM users WHERE id =
                %s
            """
            cur.execute(author_of, [row["author_id"]])
            author = cur.fetchone()
        return {"id": row["id"], "title": row["title"], "author": author and author["name"]}

    return app
