"""A good answer, beside which others are measured. The notebook's `solution` shows its source."""

import asyncio
import random
import time
from collections import deque
from typing import Any

from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from course_app.exercises.overload.baseline import takes_everything


class Line:
    """Has requests wait for their turn in a line of its own, and refuses more if that is late.

    Args:
        longest_wait_seconds: while the first in line has waited for longer, nobody is let in.
        turns: how many are worked on at a time: one where handlers compute, more where they wait.
        never: paths that need no turn.
    """

    def __init__(
        self,
        app: Any,
        longest_wait_seconds: float = 0.03,
        turns: int = 1,
        never: tuple[str, ...] = ("/health",),
    ) -> None:
        self.app, self.never = app, never
        self.longest_wait_seconds = longest_wait_seconds
        self.turn = asyncio.Semaphore(turns)
        self.came: deque[float] = deque()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in self.never:
            await self.app(scope, receive, send)
        elif self.came and time.monotonic() - self.came[0] > self.longest_wait_seconds:
            # Not the same time for all, or they come back together.
            later = {"Retry-After": str(random.randint(1, 4))}
            await PlainTextResponse("Busy", 503, later)(scope, receive, send)
        else:
            await self.stand_in_line(scope, receive, send)

    async def stand_in_line(self, scope: Any, receive: Any, send: Any) -> None:
        came = time.monotonic()
        self.came.append(came)
        try:
            async with self.turn:
                # Lets the loop see who has come meanwhile; it would not until the work is done.
                await asyncio.sleep(0)
                await self.app(scope, receive, send)
        finally:
            self.came.remove(came)


def create_app() -> FastAPI:
    app = takes_everything()
    app.add_middleware(Line)
    return app
