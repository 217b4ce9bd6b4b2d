"""Our handlers read files, so they are plain functions and run in threads. Somebody wants to make
them async, since threads are slow. Each takes about 4 ms."""

import time

import anyio.to_thread
from fastapi import FastAPI

ROUTES = [{"method": "GET", "path": "/files/{file}/head", "values": {"file": [1, 800]}}]


def head(file: int) -> dict[str, int]:
    """Stands for a library that reads scientific files: 4 ms, most of them of the disk."""
    time.sleep(0.004)
    return {"file": file, "rows": file * 97 % 4099}


def create_app() -> FastAPI:
    app = FastAPI()

    @app.get("/files/{file}/head")
    def read_head(file: int) -> dict[str, int]:
        return head(file)

    return app


def create_cured() -> FastAPI:
    """The same thread, asked for by hand: no difference."""
    app = FastAPI()

    @app.get("/files/{file}/head")
    async def read_head(file: int) -> dict[str, int]:
        return await anyio.to_thread.run_sync(head, file)

    return app
