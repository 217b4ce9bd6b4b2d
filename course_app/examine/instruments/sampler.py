"""Looks at the app many times a second, from a thread: what runs on its loop, and what waits.

Three looks a tick: the stack of the loop's thread (and since when the loop has not turned), what
each request under way waits for, and what the worker threads do. Samples tell shares of time, for
code of any library, without a change to it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

from course_app.examine.instruments import code as codes
from course_app.examine.instruments.code import Step
from course_app.examine.instruments.visits import Visit, Visits
from course_app.serving.frames import CollectionsInTurn, no_collections

#: A loop that has not turned for so long counts as held.
HELD_SECONDS = 0.008
BEAT_SECONDS = 0.004
#: So many requests are looked at in one tick, in a share of the time between two: whoever looks
#: has the interpreter, which what is watched needs. A request under many layers takes long to read.
_LOOKED_AT = 24
_LEAST_LOOKED_AT = 2
_MOST_OF_THE_TIME = 0.1
#: Ends the sampler's wait for the interpreter early; the default of 5 ms would make stacks of
#: short callbacks invisible, because then only idle moments are seen.
_SWITCH_SECONDS = 0.0005

_OWN_STEPS = 6
#: What is waited for, and the user's steps from the innermost out.
State = tuple[str, tuple[Step, ...]]

#: Functions at which a worker thread waits for work.
_IDLE = ("_worker", "WorkerThread.run", "Queue.get", "SimpleQueue.get", "Condition.wait")
_WORKERS = ("AnyIO worker thread", "asyncio_", "ThreadPoolExecutor")


class Sampler:
    """Samples while it is started. Tables of states keep what is sent small."""

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self.limiter: Any = None
        self._due = 0.0
        self.lags: list[tuple[float, float]] = []
        self._thread: threading.Thread | None = None
        self._going = False
        self._collections = CollectionsInTurn()
        self.states: list[State] = []
        self._state_numbers: dict[State, int] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what was sampled."""
        self.ticks = 0
        #: What looking cost by itself.
        self.cpu_seconds = 0.0
        self.busy: Counter[tuple[str, str, Step | None, Step | None]] = Counter()
        #: Seconds the loop was held, by route, kind of work, and place.
        self.held: Counter[tuple[str, str, Step | None, Step | None]] = Counter()
        self.threads: Counter[tuple[str, Step | None, Step | None]] = Counter()
        self.tokens: Counter[str] = Counter()
        #: Requests under way, and those of them that were looked at, over all ticks.
        self.in_flight = self.looked_at = 0
        self.lags = []

    # on the loop

    async def attach(self) -> None:
        """On the app's loop: begin to beat there."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        from anyio.to_thread import current_default_thread_limiter

        self.limiter = current_default_thread_limiter()
        self._schedule()

    def _schedule(self) -> None:
        assert self._loop is not None
        self._due = time.perf_counter() + BEAT_SECONDS
        self._loop.call_later(BEAT_SECONDS, self._turn)

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._going:
            self.lags.append((self._due, now - self._due))
            self._collections.turn()
        self._schedule()

    def held_now(self, places: Callable[[Step], dict[str, Any]]) -> dict[str, Any]:
        """Since how many seconds the loop has not turned, and at which of the user's lines."""
        with no_collections():
            steps = codes.stack(sys._current_frames().get(self._loop_thread))
        inner = codes.innermost_of_user(steps)
        return {
            "late": time.perf_counter() - self._due,
            "place": places(steps[inner]) if inner is not None else None,
        }

    # in the sampler's thread

    def start(self, period_seconds: float) -> None:
        """Begin to sample, from zero."""
        self.stop()
        self.reset()
        self._period = period_seconds
        self._going = True
        self._usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._collections.begin()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End sampling."""
        if not self._going:
            return
        self._going = False
        if self._thread is not None:
            self._thread.join(5.0)
        self._collections.end()
        sys.setswitchinterval(self._usual)

    def _run(self) -> None:
        due = time.perf_counter()
        holding_since = 0.0
        while self._going:
            due += self._period
            now = time.perf_counter()
            if due > now:
                time.sleep(due - now)
            else:
                due = now
            now = time.perf_counter()
            holding_since = self._tick(now, holding_since)
        self.cpu_seconds = time.thread_time()

    def _tick(self, now: float, holding_since: float) -> float:
        frames = sys._current_frames()
        self.ticks += 1
        holding_since = self._look_at_loop(frames.get(self._loop_thread), now, holding_since)
        self._look_at_threads(frames)
        self._look_at_visits(now)
        self._look_at_tokens()
        return holding_since

    def _look_at_loop(self, frame: FrameType | None, now: float, holding_since: float) -> float:
        late = now - self._due
        held = late > HELD_SECONDS
        if frame is None or _is_idle(frame):
            return 0.0
        steps = codes.stack(frame)
        visit = self._running_visit()
        inner = codes.innermost_of_user(steps)
        outer = next(
            (
                i
                for i, (code, _) in enumerate(steps)
                if codes.users(code) and codes.runs_on_the_loop(code)
            ),
            inner,
        )
        route = visit.route or _route(visit) if visit is not None else ""
        key = (
            route,
            codes.works_on(steps) or _layer(steps),
            steps[outer] if outer is not None else None,
            steps[inner] if inner is not None else None,
        )
        self.busy[key] += 1
        if held:
            since = max(self._due, holding_since)
            self.held[key] += now - since  # type: ignore[assignment]
            return now
        return 0.0

    def _running_visit(self) -> Visit | None:
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            return None
        if task is None:
            return None
        for visit in list(self._visits.current):
            if any(ref() is task for ref in visit.tasks):
                return visit
        return None

    def _look_at_threads(self, frames: dict[int, FrameType]) -> None:
        for thread in threading.enumerate():
            if not thread.name.startswith(_WORKERS) or thread.ident is None:
                continue
            frame = frames.get(thread.ident)
            if frame is None:
                continue
            steps = codes.stack(frame)
            own = [step for step in steps if codes.users(step[0])]
            if not own and steps[0][0].co_qualname.endswith(_IDLE):
                continue
            if not own and any(step[0].co_name == "_worker" for step in steps[:2]):
                continue
            kind = codes.works_on(steps) or _blocking(steps)
            self.threads[(kind, own[-1] if own else None, own[0] if own else None)] += 1

    def _look_at_visits(self, now: float) -> None:
        current = list(self._visits.current)
        self.in_flight += len(current)
        began = time.thread_time()
        for looked, visit in enumerate(random.sample(current, min(len(current), _LOOKED_AT))):
            spent = time.thread_time() - began
            if looked >= _LEAST_LOOKED_AT and spent > _MOST_OF_THE_TIME * self._period:
                break
            self.looked_at += 1
            if (state := self._state_of(visit)) is not None:
                visit.samples.append((now, state))

    def _state_of(self, visit: Visit) -> int | None:
        best: State | None = None
        for reference in list(visit.tasks):
            task = reference()
            if task is None or task.done():
                continue
            state = _waiting(task)
            if best is None or _RANK.get(state[0], 5) > _RANK.get(best[0], 5):
                best = state
        if best is None:
            return None
        number = self._state_numbers.get(best)
        if number is None:
            number = self._state_numbers[best] = len(self.states)
            self.states.append(best)
        return number

    def _look_at_tokens(self) -> None:
        if self.limiter is None:
            return
        statistics = self.limiter
        full = statistics.borrowed_tokens >= statistics.total_tokens
        waiting = len(getattr(statistics, "_wait_queue", ()))
        self.tokens["full"] += full
        self.tokens["waiting"] += waiting
        self.tokens["total"] = int(min(statistics.total_tokens, 10_000))
        executor = getattr(self._loop, "_default_executor", None)
        queue = getattr(executor, "_work_queue", None)
        if queue is not None:
            self.tokens["executor waiting"] += queue.qsize()
            self.tokens["executor full"] += queue.qsize() > 0
            self.tokens["executor total"] = executor._max_workers  # type: ignore[union-attr]


#: Of the tasks of one request the one that says most counts: a task that waits for another one of
#: the same request says nothing.
_RANK = {"future": 0, "event": 1, "stream": 1, "body": 1, "other": 2, "ready": 3, "running": 9}


def _waiting(task: asyncio.Task[Any]) -> State:
    """What a task waits for, and the user's own steps on the way there."""
    steps = codes.awaited(task.get_coro())
    inner = codes.innermost_of_user(steps)
    own = tuple(step for step in steps if codes.users(step[0]))[:_OWN_STEPS]
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None or waiter.done():
        return "ready", own
    return codes.waits_for(steps[:inner] if inner is not None else steps), own


def _is_idle(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return "asyncio/runners" in name or "selectors.py" in name or "asyncio/base_events" in name


def _layer(steps: list[Step]) -> str:
    """Where computing is done if it is for nothing that has a name: a layer's machinery or ..."""
    for code, _ in steps:
        if codes.users(code):
            return "user"
        if "starlette/middleware/base" in code.co_filename:
            return "middleware"
    return "server"


def _blocking(steps: list[Step]) -> str:
    for code, _ in steps:
        if code.co_qualname.startswith("VisibleLock."):
            return "lock"
        if codes.users(code):
            return "user"
        for part, what in (("psycopg", "sql"), ("sqlalchemy", "sql"), ("redis", "redis")):
            if part in code.co_filename:
                return what
    return "other"


def _route(visit: Visit) -> str:
    from course_app.examine.instruments.visits import route_of

    return route_of(visit.scope) if visit.scope is not None else ""
