"""A middleware as a class, added with add_middleware, with a clock in nanoseconds."""

import time
from typing import Any

from course_app.apps.hard_to_time import hard_to_time


class Stopwatch:
    def __init__(self, app: Any, timings: Any) -> None:
        self.app, self.timings = app, timings

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = time.monotonic_ns()
        note = {"path": scope["path"], "status": 0, "ms": 0.0}

        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                note["status"] = message["status"]
                ms = (time.monotonic_ns() - began) / 1e6
                message["headers"] += [(b"server-timing", f"app;dur={ms:.3f}".encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        finally:
            note["ms"] = (time.monotonic_ns() - began) / 1e6
            self.timings.append(note)


def create_app() -> Any:
    app = hard_to_time()
    return Stopwatch(app, app.state.timings)
