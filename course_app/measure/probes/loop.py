"""What the server's event loop did: lag, tasks, threads.

Lag is the time by which a timer fires late: while a handler blocks, nothing on the loop
runs. ``perf_counter`` and not ``loop.time()``: uvloop's clock counts whole milliseconds.
"""

import _asyncio
import asyncio
import threading
import time
from collections.abc import Coroutine, Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from anyio.to_thread import current_default_thread_limiter

from course_app.measure.probes import Reading
from course_app.serving import ThreadServer

TICK_SECONDS = 0.005
#: Timers are only good to a millisecond or two; below this a loop counts as responsive.
UNRESPONSIVE_SECONDS = 0.010


class LoopProbe:
    """Samples one server's event loop every 5 ms and counts the tasks made on it.

    Costs 1 to 2 % of a core, so it runs in counting passes and not in timed windows.
    """

    def __init__(self, server: ThreadServer) -> None:
        self._server = server
        self._ticks: list[tuple[float, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to sample."""
        self._ticks = []
        self._tasks = 0
        self._threads = self._busy = 0
        self._server.run(self._begin())

    def stop(self) -> Sequence[Reading]:
        """Tasks per request; greatest lag; share of time without response; threads.

        *Worker threads busy* are those that run ``def`` handlers, of which there are 40.
        """
        self._server.run(self._end())
        lags = self.lags_seconds
        wall = self._ended - self._began
        late = lags[lags > UNRESPONSIVE_SECONDS].sum()
        return [
            Reading("asyncio tasks", self._tasks),
            Reading("max loop lag", float(lags.max(initial=0.0)) * 1e3, False, "ms"),
            Reading("loop unresponsive", 100 * float(late) / max(wall, 1e-9), False, "% of time"),
            Reading("threads", self._threads, False),
            Reading("worker threads busy", self._busy, False),
        ]

    @property
    def times_ns(self) -> npt.NDArray[np.float64]:
        """When each sample was due, shape (samples,), ns on the ``perf_counter_ns`` clock."""
        return np.array([due for due, _ in self._ticks]) * 1e9

    @property
    def lags_seconds(self) -> npt.NDArray[np.float64]:
        """By how much each sample was late, shape (samples,), seconds."""
        return np.array([lag for _, lag in self._ticks], dtype=np.float64)

    async def _begin(self) -> None:
        loop = self._server.loop
        self._began = time.perf_counter()
        self._usual_factory = loop.get_task_factory()
        loop.set_task_factory(self._count_task)
        # Asked for here, because a timer's callback belongs to no task.
        self._limiter = current_default_thread_limiter()
        self._schedule()

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # A tick that is overdue now has not been able to report its own lag.
        now = time.perf_counter()
        if now > self._due:
            self._ticks.append((self._due, now - self._due))
        self._ended = now
        self._server.loop.set_task_factory(self._usual_factory)
        self._tasks -= 1  # the one that runs this method

    def _schedule(self) -> None:
        self._due = time.perf_counter() + TICK_SECONDS
        self._timer = self._server.loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._ticks.append((self._due, max(0.0, time.perf_counter() - self._due)))
        self._threads = max(self._threads, threading.active_count())
        self._busy = max(self._busy, self._limiter.borrowed_tokens)
        self._schedule()

    def _count_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> "asyncio.Task[Any]":
        self._tasks += 1
        # The C class itself: nest_asyncio2 puts a slower Python one in its place in asyncio.
        return _asyncio.Task(coroutine, loop=loop, **options)
