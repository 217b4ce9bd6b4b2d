"""Load shedding in pure ASGI: what would be answered too late is refused at once, with 503.

A request that waits for its turn waits behind everything that is ready on the event loop. The first
one of a turn puts a mark at the end of that queue; its age is the lag. An idle loop pays nothing.

It protects what the loop itself does: parsing, computing, serializing. A queue elsewhere (for a
pool, a thread, another service) leaves the loop free: bound the requests in flight for those.
"""

import asyncio
import random
import time
from collections.abc import Collection
from typing import Any


class Shedding:
    """Refuses requests while the loop is late.

    Args:
        max_lag_seconds: a quarter of what clients wait at most: a request may have waited as long
            in its socket, and the turn that it begins may be longer than the one that was seen.
        retry_after_seconds: they are told to come back after 1 to so many, each after another time.
        never: paths that are always served, such as health checks.
    """

    def __init__(
        self,
        app: Any,
        *,
        max_lag_seconds: float = 0.05,
        retry_after_seconds: int = 4,
        never: Collection[str] = ("/health",),
    ) -> None:
        self.app, self.never = app, never
        self.max_lag_seconds, self.retry_after_seconds = max_lag_seconds, retry_after_seconds
        self.shed = 0
        self._marked_at: float | None = None
        self._before = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        late = scope["type"] == "http" and self.lag_seconds() > self.max_lag_seconds
        if not late or scope["path"] in self.never:
            await self.app(scope, receive, send)
            return
        self.shed += 1
        wait = str(random.randint(1, self.retry_after_seconds)).encode()
        headers = [(b"retry-after", wait), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def lag_seconds(self) -> float:
        """Age of this turn; for those read while the last one went on, at least half of its."""
        now = time.monotonic()
        if self._marked_at is None:
            self._marked_at = now
            asyncio.get_running_loop().call_soon(self._come_round, now)
        return max(now - self._marked_at, self._before / 2)

    def _come_round(self, marked_at: float) -> None:
        self._marked_at, self._before = None, time.monotonic() - marked_at
        asyncio.get_running_loop().call_soon(self._forget)

    def _forget(self) -> None:
        self._before = 0.0
