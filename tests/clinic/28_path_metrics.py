"""We measure how long each page takes and keep it per page, as everybody does. There is no cache
here and no upload, and still a pod is killed every other day."""

import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

ROUTES = [{"method": "GET", "path": "/items/{item}", "values": {"item": [1, 10000000]}}]

BOUNDS = [0.001 * 1.2**n for n in range(60)]


class Histogram:
    """How many took how long."""

    def __init__(self) -> None:
        self.counts = [0.0 for _ in BOUNDS]
        self.last: list[float] = []

    def add(self, seconds: float) -> None:
        for i, bound in enumerate(BOUNDS):
            if seconds <= bound:
                self.counts[i] += 1.0
                break
        self.last = [seconds * bound for bound in BOUNDS]


def build(name_of: Callable[[Request], str]) -> FastAPI:
    app = FastAPI()
    histograms: dict[str, Histogram] = {}
    app.state.histograms = histograms

    @app.middleware("http")
    async def measure(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        begin = time.perf_counter()
        response = await call_next(request)
        seconds = time.perf_counter() - begin
        histograms.setdefault(name_of(request), Histogram()).add(seconds)
        return response

    @app.get("/items/{item}")
    async def read_item(item: int) -> dict[str, int]:
        return {"item": item, "pieces": item % 12}

    return app


def create_app() -> FastAPI:
    return build(lambda request: request.url.path)


def create_cured() -> FastAPI:
    """One for each route, not for each address that somebody may type."""
    return build(lambda request: getattr(request.scope.get("route"), "path", "other"))
