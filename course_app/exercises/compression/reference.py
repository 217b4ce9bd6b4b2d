"""A good answer; ``solution(...)`` shows its source."""

from typing import Any

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES

from course_app.exercises.compression.baseline import XLSX, service


class CompressForTheWorld:
    """Passes requests from this machine by, and all others through Starlette's middleware."""

    def __init__(self, app: Any, /, **options: Any) -> None:
        self.plain, self.packed = app, GZipMiddleware(app, **options)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        inside = scope["type"] != "http" or scope["path"].startswith("/internal/")
        await (self.plain if inside else self.packed)(scope, receive, send)


def create_app(postgres_dsn: str) -> FastAPI:
    options = {
        "minimum_size": 1000,
        # One level for all readers, on whatever link: the cheapest, for CPU is what costs here.
        "compresslevel": 1,
        "exclude_content_types": (*DEFAULT_EXCLUDED_CONTENT_TYPES, XLSX),
    }
    app = service(postgres_dsn)
    app.add_middleware(CompressForTheWorld, **options)
    return app


levels = {"phone": 6, "office": 1, "indexer": None}
