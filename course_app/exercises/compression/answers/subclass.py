"""Starlette's middleware, of which a subclass lets some paths pass."""

from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from course_app.exercises.compression.baseline import service


class SomePaths(GZipMiddleware):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path.startswith("/internal") or path.endswith(".xlsx"):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(postgres_dsn: str) -> FastAPI:
    app = service(postgres_dsn)
    app.add_middleware(SomePaths, minimum_size=1000, compresslevel=1)
    return app


levels = {"phone": 6, "office": 1, "indexer": None}
