"""Known wrong answers, as learners make them."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from course_app.apps.shedding import Shedding
from course_app.exercises.overload import rubric
from course_app.exercises.overload.baseline import seal_of, takes_everything
from course_app.exercises.overload.reference import Line
from course_app.grading import WrongAnswer
from course_app.grading.failures import DifferentAnswer, WrongUnderLoad

Next = Callable[[Request], Awaitable[Response]]

_LATER = {"Retry-After": "1"}


def _busy(status: int = 503, headers: dict[str, str] = _LATER) -> Response:
    return PlainTextResponse("Busy", status, headers)


def _behind(middleware: Callable[[Request, Next], Awaitable[Response]]) -> FastAPI:
    """The given app behind a middleware, which /health passes by."""
    app = takes_everything()

    @app.middleware("http")
    async def around(request: Request, call_next: Next) -> Response:
        if request.url.path == "/health":
            return await call_next(request)
        return await middleware(request, call_next)

    return app


def _with(layer: Callable[..., Any], **arguments: Any) -> FastAPI:
    app = takes_everything()
    app.add_middleware(layer, **arguments)
    return app


class _Line(Line):
    """The answer's line, with ways to go wrong."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in self.never:
            await self.app(scope, receive, send)
        elif self.is_late():
            await self.refuse(scope, receive, send)
        else:
            await self.stand_in_line(scope, receive, send)

    def is_late(self) -> bool:
        return bool(self.came) and time.monotonic() - self.came[0] > self.longest_wait_seconds

    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        await _busy()(scope, receive, send)


def _anew(seal: Callable[[int], str] = seal_of, dependencies: Sequence[Any] = ()) -> FastAPI:
    """The given app, written anew."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/vouchers/{number}", dependencies=dependencies)
    async def read_voucher(number: int) -> dict[str, Any]:
        if number < 1:
            raise HTTPException(404, "No such voucher")
        return {"number": number, "seal": seal(number)}

    return app


def create_dependency_that_counts() -> FastAPI:
    """A handler that computes is never interrupted: there is one request in flight at any time."""
    in_flight = 0

    async def slot() -> AsyncIterator[None]:
        nonlocal in_flight
        if in_flight >= 10:
            raise HTTPException(503, "Busy", _LATER)
        in_flight += 1
        try:
            yield
        finally:
            in_flight -= 1

    return _anew(dependencies=[Depends(slot)])


def create_queue_inside() -> FastAPI:
    return _with(Line, longest_wait_seconds=60.0)


def create_waiting_for_calm() -> FastAPI:
    in_flight = 0

    async def wait(request: Request, call_next: Next) -> Response:
        nonlocal in_flight
        while in_flight >= 4:
            await asyncio.sleep(0.05)
        in_flight += 1
        try:
            return await call_next(request)
        finally:
            in_flight -= 1

    return _behind(wait)


def create_by_connections() -> FastAPI:
    """As a limit on connections does it: who keeps one open counts, whatever they do."""
    clients: dict[Any, float] = {}

    async def count(request: Request, call_next: Next) -> Response:
        now = time.monotonic()
        for known in [each for each, seen in clients.items() if now - seen > 5.0]:
            del clients[known]
        if request.client not in clients and len(clients) >= 50:
            return _busy()
        clients[request.client] = now
        return await call_next(request)

    return _behind(count)


def create_by_address() -> FastAPI:
    """The guide's limiter: so many requests of each client per second."""
    stamps: dict[str, list[float]] = {}

    async def limit(request: Request, call_next: Next) -> Response:
        now, client = time.monotonic(), request.client.host if request.client else ""
        stamps[client] = [stamp for stamp in stamps.get(client, []) if now - stamp < 1.0]
        if len(stamps[client]) >= 5:
            return _busy()
        stamps[client].append(now)
        return await call_next(request)

    return _behind(limit)


class _NoLine(_Line):
    def is_late(self) -> bool:
        return bool(self.came)


def create_without_line() -> FastAPI:
    return _with(_NoLine)


class _CountsForEver(_Line):
    inside = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)
        if scope.get("path") not in self.never:
            self.inside -= 1

    def is_late(self) -> bool:
        self.inside += 1
        return self.inside > 30

    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1  # the way out that was forgotten
        await super().refuse(scope, receive, send)


def create_counting_for_ever() -> FastAPI:
    return _with(_CountsForEver)


class _Fuse(_Line):
    """Once there is too much to do, all are refused for a while."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.blown_until = 0.0

    def is_late(self) -> bool:
        if super().is_late():
            self.blown_until = time.monotonic() + 10.0
        return time.monotonic() < self.blown_until


def create_fuse() -> FastAPI:
    return _with(_Fuse)


class _Rush(_Line):
    """Knows when it has refused somebody."""

    refused_at = 0.0

    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        self.refused_at = time.monotonic()
        await super().refuse(scope, receive, send)


def create_late() -> FastAPI:
    return _with(Line, longest_wait_seconds=1.0)


def create_deciding_after_the_work() -> FastAPI:
    turn = asyncio.Lock()

    async def measure(request: Request, call_next: Next) -> Response:
        came = time.monotonic()
        async with turn:
            await asyncio.sleep(0)
            response = await call_next(request)
        return response if time.monotonic() - came < 0.08 else _busy()

    return _behind(measure)


class _TooManyRequests(_Line):
    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        await _busy(429)(scope, receive, send)


def create_429() -> FastAPI:
    return _with(_TooManyRequests)


class _Silent(_Line):
    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        await _busy(headers={})(scope, receive, send)


def create_without_retry_after() -> FastAPI:
    return _with(_Silent)


class _TarPit(_Line):
    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.2)  # slows them down
        await super().refuse(scope, receive, send)


def create_tar_pit() -> FastAPI:
    return _with(_TarPit)


class _Invented(_Line):
    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        number = int(scope["path"].rpartition("/")[2])
        seal = random.randbytes(32).hex()
        await JSONResponse({"number": number, "seal": seal})(scope, receive, send)


def create_inventing() -> FastAPI:
    return _with(_Invented)


def create_inventing_always() -> FastAPI:
    return _anew(seal=lambda _number: random.randbytes(32).hex())


class _Ready(_Rush):
    """Says of itself that it is not well while it has refused somebody of late."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") in self.never and time.monotonic() - self.refused_at < 1.0:
            await _busy()(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_health_refused() -> FastAPI:
    return _with(_Ready)


class _HealthAtTheEnd(_Rush):
    """Answers /health when it finds time for it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while scope.get("path") in self.never and time.monotonic() - self.refused_at < 0.15:
            await asyncio.sleep(0.05)
        await super().__call__(scope, receive, send)


def create_health_at_the_end() -> FastAPI:
    return _with(_HealthAtTheEnd)


def create_by_lag() -> FastAPI:
    """As the lesson does: all whom the loop has read before it was late are worked on in a row."""
    return _with(Shedding, max_lag_seconds=0.025)


class _Watching(_Line):
    """Looks at the line in every turn of the loop, also when nobody stands in it."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.late = False
        self.watch: asyncio.Task[None] | None = None

    def is_late(self) -> bool:
        self.watch = self.watch or asyncio.create_task(self.look())
        return self.late

    async def look(self) -> None:
        while True:
            self.late = super().is_late()
            await asyncio.sleep(0)


def create_that_watches() -> FastAPI:
    return _with(_Watching)


WRONG_ANSWERS = (
    WrongAnswer("the app as it was", takes_everything, rubric.NeverRefuses, points=0),
    WrongAnswer("a dependency that counts", create_dependency_that_counts, rubric.NeverRefuses),
    WrongAnswer("a queue inside", create_queue_inside, rubric.NeverRefuses),
    WrongAnswer("waits until it is calm", create_waiting_for_calm, rubric.NeverRefuses),
    WrongAnswer("an invented seal", create_inventing_always, DifferentAnswer),
    WrongAnswer("an invented seal in the rush", create_inventing, WrongUnderLoad),
    WrongAnswer("a limit on connections", create_by_connections, rubric.StaysShut),
    WrongAnswer("a limit for each address", create_by_address, rubric.RefusesInCalm),
    WrongAnswer("no line at all", create_without_line, rubric.RefusesInCalm),
    WrongAnswer("counts for ever", create_counting_for_ever, rubric.StaysShut),
    WrongAnswer("a fuse for ten seconds", create_fuse, rubric.StaysShut),
    WrongAnswer("refuses after a second", create_late, rubric.NeverRefuses),
    WrongAnswer("429", create_429, rubric.NotA503),
    WrongAnswer("no Retry-After", create_without_retry_after, rubric.NoRetryAfter),
    WrongAnswer("slows down who is refused", create_tar_pit, rubric.RefusesLate),
    WrongAnswer("decides after the work", create_deciding_after_the_work, rubric.NeverRefuses),
    WrongAnswer("/health is refused too", create_health_refused, rubric.HealthRefused),
    WrongAnswer("/health when there is time", create_health_at_the_end, rubric.HealthLate),
    WrongAnswer("refuses while the loop is late", create_by_lag, rubric.HealthLate),
    WrongAnswer("watches without a pause", create_that_watches, rubric.BusyWhenIdle),
)
