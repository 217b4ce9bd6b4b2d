"""One record for each request: when, which route, what it asked of others, what went wrong."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from types import FrameType
from typing import Any

from course_app.examine.instruments.code import Step, users

Scope = MutableMapping[str, Any]
ASGIApp = Callable[[Scope, Any, Any], Awaitable[None]]

#: More would only make the summary of a window longer, not truer.
MOST_VISITS = 20_000
MOST_CALLS = 40_000


class Visit:
    """One request. Times are seconds on ``time.perf_counter``'s clock."""

    __slots__ = (
        "begin",
        "clients",
        "complete",
        "connects",
        "end",
        "error",
        "path",
        "route",
        "samples",
        "scope",
        "statements",
        "status",
        "tasks",
        "work",
    )

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope | None = scope
        self.route = ""
        self.path = scope["path"] + (
            f"?{q.decode('latin-1')}" if (q := scope["query_string"]) else ""
        )
        self.begin = time.perf_counter()
        self.end = 0.0
        self.status = 0
        #: Whether all of the answer was sent.
        self.complete = False
        self.tasks: list[weakref.ref[asyncio.Task[Any]]] = []
        self.samples: list[tuple[float, int]] = []
        self.statements: list[Statement] = []
        self.connects: list[Connect] = []
        self.clients: list[tuple[str, Step | None]] = []
        self.error: tuple[str, list[Step]] | None = None
        #: Seconds of this thread's CPU that were spent on a kind of work, by timers.
        self.work: dict[str, float] = {}


class Span:
    """Something that a visit does, from now until it has ended.

    ``begin_cpu`` and ``end_cpu`` are seconds on the clock of the thread that does it, ``thread``.
    With one client their difference is what it costs the loop; with many it is everybody's.
    """

    __slots__ = ("begin", "begin_cpu", "end", "end_cpu", "kind", "place", "thread")

    def __init__(self, kind: str, place: Step | None) -> None:
        self.kind, self.place = kind, place
        self.begin, self.begin_cpu = time.perf_counter(), time.thread_time()
        self.end = self.end_cpu = 0.0
        self.thread = threading.get_ident()

    def ended(self) -> None:
        """Note the end."""
        self.end, self.end_cpu = time.perf_counter(), time.thread_time()


class Statement(Span):
    """One call to a database or another server; ``rows`` are -1 where nobody knows."""

    __slots__ = ("args", "rows", "text")

    def __init__(self, kind: str, text: str, args: Any, place: Step | None) -> None:
        super().__init__(kind, place)
        self.text, self.args, self.rows = text, args, -1


class Connect(Span):
    """A connection that is opened.

    With ``opens`` false what belongs to it: it is closed, or the client is made that opens it.

    ``awaited``: the loop may turn meanwhile.
    """

    __slots__ = ("awaited", "opens")

    def __init__(
        self, kind: str, place: Step | None, *, opens: bool = True, awaited: bool = True
    ) -> None:
        super().__init__(kind, place)
        self.opens, self.awaited = opens, awaited


VISIT: contextvars.ContextVar[Visit | None] = contextvars.ContextVar("visit", default=None)


def place_of_user(frame: FrameType | None) -> Step | None:
    """The user's innermost step on the way to a call, None if there is none."""
    seen = frame
    while seen is not None:
        if users(seen.f_code):
            return seen.f_code, seen.f_lineno
        seen = seen.f_back
    return _outside_of_a_greenlet()


def _outside_of_a_greenlet() -> Step | None:
    """SQLAlchemy runs its synchronous half in a greenlet, whose frames end where it begins."""
    greenlet = sys.modules.get("greenlet")
    parent = getattr(greenlet and greenlet.getcurrent(), "parent", None)
    while parent is not None:
        frame = parent.gr_frame
        while frame is not None:
            if users(frame.f_code):
                return frame.f_code, frame.f_lineno
            frame = frame.f_back
        parent = parent.parent
    return None


class Visits:
    """Wraps the app, and follows each request through all its tasks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.current: set[Visit] = set()
        self.done: list[Visit] = []
        self.keep = False
        #: The first request of each route as it came, to ask it again, and its answer's status.
        self.scopes: dict[str, Scope] = {}
        self.statuses: dict[str, int] = {}
        self.endpoints: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request, and keep its record while ``keep`` is set."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = Visit(scope)
        # What is mounted is found by a changed scope: it does not lead there once more.
        came = {name: scope[name] for name in _OF_THE_REQUEST if name in scope}
        came["state"] = dict(scope.get("state", {}))
        VISIT.set(visit)
        if (task := asyncio.current_task()) is not None:
            visit.tasks.append(weakref.ref(task))
        self.current.add(visit)

        async def noting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                visit.complete = True

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            note_error(visit, error)
            raise
        finally:
            visit.end = time.perf_counter()
            self.current.discard(visit)
            visit.route = route_of(scope)
            if visit.route not in self.scopes:
                self.scopes[visit.route] = came
                self.statuses[visit.route] = visit.status
                self.endpoints[visit.route] = scope.get("endpoint")
            visit.scope = None
            visit.tasks = []
            if self.keep and len(self.done) < MOST_VISITS:
                self.done.append(visit)

    def make_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> asyncio.Task[Any]:
        """The loop's task factory: tasks that a request starts belong to it."""
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        context = options.get("context")
        visit = context.get(VISIT) if context is not None else VISIT.get()
        if visit is not None and not visit.end:
            visit.tasks.append(weakref.ref(task))
        return task


_OF_THE_REQUEST = (
    *("type", "asgi", "http_version", "server", "client", "scheme", "method"),
    *("path", "raw_path", "query_string", "headers", "root_path"),
)


def note_error(visit: Visit, error: BaseException) -> None:
    """Keep the first exception of a visit, with the steps that led to it."""
    if visit.error is not None:
        return
    steps: list[Step] = []
    seen: BaseException | None = error
    known: set[int] = set()  # a chain may run in a circle that does not hold its first error
    while seen is not None and id(seen) not in known:
        known.add(id(seen))
        steps += [(frame.f_code, line) for frame, line in traceback.walk_tb(seen.__traceback__)]
        seen = seen.__cause__ or seen.__context__
    said = f"{type(error).__name__}: {error}"
    visit.error = said[:300], steps


def route_of(scope: Scope) -> str:
    """The route's method and template, or the path where no route fits."""
    route = scope.get("route")
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    if template is None:
        return f"{scope.get('method', '')} {scope.get('path', '')}"
    return f"{scope['method']} {scope.get('root_path', '')}{template}"


def caller() -> Step | None:
    """The user's step that called a library's function which calls this."""
    return place_of_user(sys._getframe(2))
