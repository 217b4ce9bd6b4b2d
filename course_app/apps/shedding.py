"""Load shedding in pure ASGI: what would be answered too late is refused at once, with 503.

While requests are under way a timer beats; how late it is tells how long one waits for a turn on
the event loop. That is parsing, computing, serializing; who waits elsewhere leaves the loop free.
"""

import asyncio
import random
import time
from collections.abc import Collection
from typing import Any

BEAT_SECONDS = 0.005


class Shedding:
    """Refuses requests while the loop is late, or too many are under way.

    Args:
        max_lag_seconds: a quarter of what clients wait at most: a request waits in its socket until
            the loop reads it, and then behind those that were read with it.
        max_in_flight: a bound for handlers that wait (for a pool, a thread, another service).
        never: paths that are always served, such as health checks.
    """

    def __init__(
        self,
        app: Any,
        max_lag_seconds: float = 0.05,
        max_in_flight: float = float("inf"),
        never: Collection[str] = ("/health",),
    ) -> None:
        self.app, self.max_lag_seconds, self.max_in_flight = app, max_lag_seconds, max_in_flight
        self.never, self.in_flight, self.shed = never, 0, 0
        self._due = self._late = 0.0  # the next beat (0: none), and how late the last one was

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] not in self.never and self._overloaded():
            self.shed += 1
            headers = [(b"retry-after", b"%d" % random.randint(1, 4)), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        self.in_flight += scope["type"] == "http"  # a lifespan lasts as long as the server
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= scope["type"] == "http"

    def _overloaded(self) -> bool:
        late = max(self._late, time.monotonic() - self._due) if self._due else self._beat()
        return late > self.max_lag_seconds or self.in_flight >= self.max_in_flight

    def _beat(self) -> float:
        now = time.monotonic()
        self._late, first = (now - self._due, False) if self._due else (0.0, True)
        self._due = now + BEAT_SECONDS if first or self.in_flight else 0.0
        if self._due:
            asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)
        return self._late
