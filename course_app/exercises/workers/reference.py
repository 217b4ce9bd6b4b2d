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
            "measured": {"1": [679, 683, 668, 681], "2": [1198, 1241, 1215, 1229]},
        },
        # One event loop waits for all 64 at once: 64 / 0.050 s.
        "waits": {
            "server": "uvicorn",
            "workers": 1,
            "pool": 0,
            "measured": {"1": [1279, 1278, 1279, 1276], "2": [1278, 1279, 1279, 1277]},
        },
        # Little's law: 300 reports/s x 0.025 s hold 7.5 connections; the rest is reserve.
        "reports": {
            "server": "uvicorn",
            "workers": 1,
            "pool": 12,
            "measured": {"1": [463, 465, 460, 464], "2": [457, 462, 455, 460]},
        },
    }

    @app.get("/plan")
    async def plan() -> dict[str, Any]:
        return services

    return app
