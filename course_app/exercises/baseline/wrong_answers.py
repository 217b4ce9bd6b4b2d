"""Known wrong answers: stopwatches as learners build them."""

import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import psutil
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from course_app.apps.hard_to_time import hard_to_time
from course_app.exercises.baseline import rubric
from course_app.exercises.baseline.baseline import timed_by_the_guide
from course_app.exercises.baseline.reference import create_app
from course_app.grading import WrongAnswer
from course_app.grading.failures import DifferentAnswer, TooLittleGain

Next = Callable[[Request], Awaitable[Response]]
Clock = Callable[[], float]


class Stopwatch:
    """Right in itself; each of the answers below bends one thing about it.

    Args:
        duration: the header's value from the start and the scope.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        state: Any,
        clock: Clock = time.perf_counter,
        unit: float = 1e3,
        duration: Callable[[float, Scope], float] | None = None,
    ) -> None:
        self.app, self.state, self.clock, self.unit = app, state, clock, unit
        self.duration = duration or self.since

    def since(self, start: float, _scope: Scope) -> float:
        return (self.clock() - start) * self.unit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = self.clock(), 0

        async def send_timed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                value = f"app;dur={self.duration(start, scope):.6f}".encode()
                message["headers"] = [*message["headers"], (b"server-timing", value)]
            await send(message)

        try:
            await self.app(scope, receive, send_timed)
        finally:
            ms = (self.clock() - start) * self.unit
            self.state.timings.append({"path": scope["path"], "status": status, "ms": ms})


def _around(**options: Any) -> ASGIApp:
    app = hard_to_time()
    return Stopwatch(app, state=app.state, **options)


def inside_of_the_app() -> FastAPI:
    """Where `add_middleware` puts it, the 500 of an exception passes by outside."""
    app = hard_to_time()
    app.add_middleware(Stopwatch, state=app.state)
    return app


def renamed_only() -> FastAPI:
    app = hard_to_time()

    @app.middleware("http")
    async def server_timing(request: Request, call_next: Next) -> Response:
        start = time.perf_counter()
        response = await call_next(request)
        ms = (time.perf_counter() - start) * 1e3
        response.headers["Server-Timing"] = f"app;dur={ms:.3f}"
        app.state.timings.append(
            {"path": request.url.path, "status": response.status_code, "ms": ms}
        )
        return response

    return app


def in_a_task_of_its_own() -> ASGIApp:
    """Everything right, but around it is one more `BaseHTTPMiddleware`."""

    async def dispatch(request: Request, call_next: Next) -> Response:
        return await call_next(request)

    return BaseHTTPMiddleware(create_app(), dispatch)


def seconds() -> ASGIApp:
    return _around(unit=1)


def wall_clock() -> ASGIApp:
    return _around(clock=lambda: time.time())


def processor_clock() -> ASGIApp:
    """Monotonic, too, but it stands still while a handler waits."""
    return _around(clock=time.process_time)


def taken_from_the_path() -> ASGIApp:
    """Precomputed: what a nap takes stands in its address."""

    def duration(_start: float, scope: Scope) -> float:
        last = scope["path"].rpartition("/")[2]
        return float(last) + 0.5 if last.isdigit() else 0.5

    return _around(duration=duration)


def clock_patched() -> ASGIApp:
    """The clock runs slow, so every request looks ten times faster."""
    true_clock = time.perf_counter
    time.perf_counter = lambda: true_clock() / 10
    return create_app()


def start_on_self() -> ASGIApp:
    """Right as long as requests come one after another."""
    watch: Any = _around()

    async def shared(scope: Scope, receive: Receive, send: Send) -> None:
        watch.start = watch.clock()
        await watch(scope, receive, send)

    watch.duration = lambda _start, _scope: (watch.clock() - watch.start) * 1e3
    return shared


def start_held_back() -> ASGIApp:
    """Waits for the end of a stream, so that the header can tell the whole time."""
    app = hard_to_time()

    async def buffer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        try:
            await app(scope, receive, keep)
        finally:
            for message in messages:
                await send(message)

    return Stopwatch(buffer, state=app.state)


def stops_at_the_start() -> ASGIApp:
    """A note is written when the answer starts, and a stream has hardly begun then."""
    app = hard_to_time()

    class Early(Stopwatch):
        def since(self, start: float, scope: Scope) -> float:
            ms = super().since(start, scope)
            app.state.timings.append({"path": scope["path"], "status": 200, "ms": ms})
            return ms

    return Early(app, state=SimpleNamespace(timings=[]))


def without_lifespan() -> ASGIApp:
    inner = create_app()

    async def http_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await inner(scope, receive, send)

    return http_only


def errors_are_json() -> ASGIApp:
    app = hard_to_time()

    @app.exception_handler(Exception)
    async def tidy(_request: Request, error: Exception) -> Response:
        return Response(f'{{"detail": "{error}"}}', 500, media_type="application/json")

    return Stopwatch(app, state=app.state)


def errors_swallowed() -> ASGIApp:
    inner = create_app()

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        except Exception:
            if scope["type"] != "http":
                raise

    return quiet


def memory_noted_too() -> ASGIApp:
    """Right, and dearer than what it replaces."""
    process = psutil.Process()

    def clock() -> float:
        process.memory_full_info()
        return time.perf_counter()

    return _around(clock=clock)


def checker_replaced() -> FastAPI:
    """Nothing was done, but for the one who judges."""
    from course_app.grading import running, scorecard

    running.Runner.run = lambda *_: []  # type: ignore[method-assign]
    scorecard.Scorecard.passed = True  # type: ignore[method-assign,assignment]
    return timed_by_the_guide()


WRONG_ANSWERS = (
    WrongAnswer("as it was", timed_by_the_guide, rubric.NoHeader),
    WrongAnswer("the checker replaced", checker_replaced, rubric.NoHeader),
    WrongAnswer("the guide's, renamed", renamed_only, rubric.NoHeaderOnErrors),
    WrongAnswer("inside of the app", inside_of_the_app, rubric.NoHeaderOnErrors),
    WrongAnswer("seconds", seconds, rubric.WrongUnit),
    WrongAnswer("values taken from the path", taken_from_the_path, rubric.WrongTime),
    WrongAnswer("the clock patched", clock_patched, rubric.WrongTime),
    WrongAnswer("a clock that stands still", processor_clock, rubric.WrongTime),
    WrongAnswer("the start kept on self", start_on_self, rubric.MixesUp),
    WrongAnswer("streams held back", start_held_back, rubric.HoldsBack),
    WrongAnswer("stops at the start", stops_at_the_start, rubric.NotNoted),
    WrongAnswer("lifespan not passed on", without_lifespan, DifferentAnswer),
    WrongAnswer("errors as JSON", errors_are_json, DifferentAnswer),
    WrongAnswer("one more task", in_a_task_of_its_own, rubric.ExtraTasks),
    WrongAnswer("the wall clock", wall_clock, rubric.WallClock),
    WrongAnswer("right but dear", memory_noted_too, TooLittleGain),
    WrongAnswer("errors swallowed", errors_swallowed, rubric.SwallowsErrors),
)
