"""The app that the learner starts from: timed as the guide does it."""

import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

from course_app.apps.hard_to_time import hard_to_time


def timed_by_the_guide() -> FastAPI:
    app = hard_to_time()

    @app.middleware("http")
    async def add_process_time_header(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        start = time.time()
        response = await call_next(request)
        response.headers["X-Process-Time"] = str(time.time() - start)
        return response

    return app
