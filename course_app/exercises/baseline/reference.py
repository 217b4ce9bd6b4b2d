"""A good answer; ``solution(...)`` shows its source."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from course_app.apps.hard_to_time import hard_to_time


def create_app() -> ASGIApp:
    app = hard_to_time()

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0

        def elapsed_ms() -> float:
            return (time.perf_counter() - start) * 1e3

        async def send_timed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timing = (b"server-timing", b"app;dur=%.3f" % elapsed_ms())
                message["headers"] = [*message.get("headers", ()), timing]
            await send(message)

        try:
            await app(scope, receive, send_timed)
        finally:
            note = {"path": scope["path"], "status": status, "ms": elapsed_ms()}
            app.state.timings.append(note)

    return timed
