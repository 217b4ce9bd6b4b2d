"""What passes through the app: requests in flight, and CPU stamps for the alternating protocol."""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from course_app.measure.probes import Reading

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Shared by all gauges of a run: (gauge number, process CPU in ns) at each request's start.
Stamps = list[tuple[int, int]]


class InFlight:
    """Wraps an app and counts the requests that are inside of it at the same time.

    With ``stamps`` it also notes the CPU time of the process at each request's start: at
    concurrency 1 the difference of two stamps is the CPU that one request cost, parsing and writing
    included, wherever in this process it ran (pool threads too). What an app does after its answer
    (background tasks, the end of a dependency) is booked on the next request, perhaps another
    app's, as far as it still runs when that one comes.

    ``served`` is the number of requests that have left the app so far.
    """

    def __init__(self, app: ASGIApp, number: int = 0, stamps: Stamps | None = None) -> None:
        self._app = app
        self._number = number
        self._stamps = stamps
        self._now = 0
        self._most = 0
        self.served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._stamps is not None:
            self._stamps.append((self._number, time.process_time_ns()))
        self._now += 1
        self._most = max(self._most, self._now)
        try:
            await self._app(scope, receive, send)
        finally:
            self._now -= 1
            self.served += 1

    def start(self) -> None:
        """Begin to watch the maximum."""
        self._most = self._now

    def stop(self) -> Sequence[Reading]:
        """The greatest number of requests that were in the app at once."""
        return [Reading("max requests in flight", self._most, per_request=False)]
