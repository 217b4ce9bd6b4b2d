"""The report that the learner starts from: it answers, and can be believed in nothing."""

import time
from typing import Annotated, Any

from fastapi import FastAPI, Query

from course_app.apps.drivers import DRIVERS


def unfair_report(postgres_dsn: str) -> FastAPI:
    app = FastAPI()

    @app.get("/report")
    async def report(drivers: Annotated[list[str], Query()], rows: int = 1) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        for name in drivers:
            began = time.perf_counter()
            client = DRIVERS[name](postgres_dsn, 1)
            fetch = await client.__aenter__()
            for _ in range(20):
                await fetch()
            seconds = time.perf_counter() - began
            first = found[0]["seconds"] if found else seconds
            found.append(
                {"driver": name, "calls": 20, "seconds": seconds, "times_as_long": seconds / first}
            )
        return {"rows": rows, "drivers": found}

    return app
