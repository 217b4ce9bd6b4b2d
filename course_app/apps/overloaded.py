"""A service to overload: one handler computes, one waits, one says that the service is alive."""

import asyncio
import time

from fastapi import FastAPI

#: So much CPU takes a report, on whatever machine.
REPORT_SECONDS = 0.002


def create_service() -> FastAPI:
    app = FastAPI()

    @app.get("/report")
    async def report() -> dict[str, str]:
        done = time.thread_time() + REPORT_SECONDS
        while time.thread_time() < done:
            pass  # computes
        return {"the report": "is ready"}

    @app.get("/waits/{milliseconds}")
    async def waits(milliseconds: float) -> dict[str, str]:
        await asyncio.sleep(milliseconds / 1000)
        return {"the other service": "has answered"}

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"I am": "fine"}

    return app


app = create_service()
