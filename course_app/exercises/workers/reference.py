"""A good answer; ``solution(...)`` shows its source."""

from typing import Any

from fastapi import FastAPI


def create_app() -> FastAPI:
    app = FastAPI()
    services = {
        # Two cores, and each process computes on one.
        "computes": {
            "server": "uvicorn",
            "workers": 2,
            "pool": 0,
            "measured": {"1": [428, 428, 336, 504], "2": [1024, 680, 844, 896]},
        },
        # One event loop waits for all 64 at once: 64 / 0.050 s.
        "waits": {
            "server": "uvicorn",
            "workers": 1,
            "pool": 0,
            "measured": {"1": [1164, 1280, 1280, 1096], "2": [1280, 1280, 1280, 1280]},
        },
        # Little's law: 300 reports/s x 0.025 s hold 7.5 connections; the rest is reserve.
        "reports": {
            "server": "uvicorn",
            "workers": 1,
            "pool": 12,
            "measured": {"1": [468, 460, 464, 468], "2": [472, 460, 460, 472]},
        },
    }

    @app.get("/plan")
    async def plan() -> dict[str, Any]:
        return services

    return app
