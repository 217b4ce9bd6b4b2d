"""One request as a waterfall of spans: which part of it waits for what, and how often.

The spans are OpenTelemetry's own: FastAPI's (dependencies, endpoint, serialization,
background tasks) and those of the instrumentations of asgi, asyncpg, psycopg, redis and
httpx. All of them are switched on for one trace and off again; the spans stay in memory.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from course_app.errors import CourseError
from course_app.load import Generator, Workload
from course_app.measure.instrument import CONNECT_SPAN, RENDER_SPAN, instrumented
from course_app.measure.probes.asgi import ASGIApp
from course_app.measure.result import Result
from course_app.serving import ThreadServer

#: Requests sent before the one that is traced: pools open, caches fill, code paths warm up.
WARMUP_REQUESTS = 2

_STATEMENT_CHARACTERS = 120

#: Kinds by the name of the span or of the library that made it; the first match counts.
_KINDS_BY_NAME = {
    "fastapi.dependencies": "dependencies",
    "fastapi.endpoint": "handler",
    "fastapi.serialization": "serialization",
    "fastapi.background_task": "background",
    RENDER_SPAN: "serialization",
    CONNECT_SPAN: "connect",
}
_KINDS_BY_LIBRARY = {
    "asyncpg": "sql",
    "psycopg": "sql",
    "psycopg2": "sql",
    "redis": "valkey",
    "httpx": "http",
}
#: asyncpg's pools send this when a connection comes back: a round trip, but nobody's query.
_RESET_MARK = "pg_advisory_unlock_all"
_STATEMENT_KEYS = ("db.statement", "db.query.text", "http.url", "url.full")


class TraceFailed(CourseError):
    """The request could not be traced; the message says why."""


@dataclass(frozen=True)
class Span:
    """One step of a request; times in ms, ``start_ms`` since the request reached the app.

    ``kind`` is ``request``, ``dependencies``, ``handler``, ``serialization``, ``background``,
    ``sql``, ``connect``, ``reset`` (a pool cleans a connection up), ``valkey``, ``http`` or
    ``other``. ``parent`` is the index of the
    enclosing span among the trace's spans, None for the request itself.
    """

    name: str
    kind: str
    start_ms: float
    duration_ms: float
    parent: int | None = None
    statement: str = ""
    error: bool = False

    @property
    def end_ms(self) -> float:
        """When it ended, in ms."""
        return self.start_ms + self.duration_ms


@dataclass(frozen=True)
class Trace(Result):
    """The spans of one request in the order in which they began; the first one encloses all."""

    name: str
    request: str
    status: int
    spans: tuple[Span, ...]

    columns = ("kind", "spans", "time, ms", "share")

    @property
    def duration_ms(self) -> float:
        """From the call of the app to the end of its answer."""
        return self.spans[0].duration_ms

    @property
    def total_ms(self) -> float:
        """The same with what came after the answer, such as background tasks."""
        return max(span.end_ms for span in self.spans)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many spans there are of each kind."""
        return Counter(span.kind for span in self.spans)

    @property
    def share(self) -> Mapping[str, float]:
        """Share of the time until the answer, by kind; the shares add up to 1.

        Each moment belongs to the innermost span that was open then (the one that began
        last, where several ran at once): the handler's share is what is not SQL or Valkey.
        """
        total = max(self.duration_ms, 1e-9)
        return {kind: ms / total for kind, ms in self._own_ms().items()}

    def of_kind(self, kind: str) -> tuple[Span, ...]:
        """The spans of one kind."""
        return tuple(span for span in self.spans if span.kind == kind)

    def depth(self, index: int) -> int:
        """How many spans enclose this one."""
        parent = self.spans[index].parent
        return 0 if parent is None else 1 + self.depth(parent)

    @property
    def message(self) -> str:
        """How often the request asked others, and where the time went."""
        asked = [
            f"{self.counts[kind]} {noun if self.counts[kind] == 1 else noun + 's'}"
            for kind, noun in _ASKED.items()
            if kind in self.counts
        ]
        share = self.share
        most = max(share, key=lambda kind: share[kind])
        return (
            f"{self.name}: one request, {', '.join(asked) or 'no call to another server'}, "
            f"{self.duration_ms:.1f} ms; {share[most]:.0%} of the time went to "
            f"{_SPENT_ON.get(most, most)}"
        )

    def rows(self) -> list[tuple[str, ...]]:
        """One row a kind, the one with the most time first."""
        shares = sorted(self.share.items(), key=lambda pair: -pair[1])
        return [(kind, str(self.counts[kind]), *self._time(kind, share)) for kind, share in shares]

    def notes(self) -> Sequence[str]:
        """What was sent, and that spans cost time themselves."""
        errors = [f"Error in {span.name}: {span.statement}" for span in self.spans if span.error]
        return [*errors, f"{self.request}, status {self.status}. Spans cost time of their own."]

    def to_dict(self) -> Mapping[str, Any]:
        """All spans, with counts and shares by kind."""
        return {
            "type": "trace",
            "name": self.name,
            "request": self.request,
            "status": self.status,
            "duration_ms": self.duration_ms,
            "total_ms": self.total_ms,
            "counts": dict(self.counts),
            "share": dict(self.share),
            "spans": [asdict(span) for span in self.spans],
        }

    def _time(self, kind: str, share: float) -> tuple[str, str]:
        spans = self.of_kind(kind)
        if all(span.start_ms >= self.duration_ms for span in spans):
            return f"{sum(span.duration_ms for span in spans):.2f}", "after the answer"
        return f"{share * self.duration_ms:.2f}", f"{share:.0%}"

    def _own_ms(self) -> Mapping[str, float]:
        own = {span.kind: 0.0 for span in self.spans}
        last = self.spans[0].end_ms
        edges = sorted({t for s in self.spans for t in (s.start_ms, s.end_ms) if t <= last})
        for begin, end in pairwise(edges):
            own[self._innermost(begin, end).kind] += end - begin
        return own

    def _innermost(self, begin: float, end: float) -> Span:
        open_then = (
            (self.depth(i), i)
            for i, span in enumerate(self.spans)
            if span.start_ms <= begin and end <= span.end_ms
        )
        return self.spans[max(open_then, default=(0, 0))[1]]


_ASKED = {
    "connect": "new connection",
    "sql": "SQL statement",
    "valkey": "Valkey command",
    "http": "HTTP request",
}
_SPENT_ON = {
    "request": "the framework",
    "handler": "the handler itself",
    "sql": "SQL",
    "connect": "connecting",
    "reset": "resetting connections",
    "valkey": "Valkey",
    "http": "HTTP",
}


def trace(
    generator: Generator,
    app: ASGIApp,
    workload: Workload,
    *,
    name: str = "app",
    warmup_requests: int = WARMUP_REQUESTS,
) -> Trace:
    """Serve the app under instrumentation and trace one request after some warm-up.

    The app is started for the trace, so that its pools and clients are made while the
    instrumentation is on; everything is as before afterwards.

    Raises:
        TraceFailed: the app gave no answer.
    """
    with instrumented(app) as (traced_app, finished_spans):
        with ThreadServer(traced_app, name=name) as server:
            target = generator.connect(server.url, workload, concurrency=1)
            try:
                answers = generator.sample(target, warmup_requests + 1)
            finally:
                generator.disconnect(target)
        recorded = finished_spans()
    if len(answers) <= warmup_requests:
        raise TraceFailed("The app did not answer: try the request with lab.measure first.")
    spans = spans_of_last_request(recorded)
    request = answers[-1].request_text.partition("\r\n")[0].removesuffix(" HTTP/1.1")
    return Trace(name=name, request=request, status=answers[-1].status, spans=spans)


def spans_of_last_request(recorded: Sequence[ReadableSpan]) -> tuple[Span, ...]:
    """The spans of the request that began last, with FastAPI's own request span merged.

    Raises:
        TraceFailed: no request was recorded.
    """
    roots = [span for span in recorded if span.parent is None and _start_ns(span)]
    if not roots:
        raise TraceFailed("No request reached the app: is it an ASGI app?")
    root = max(roots, key=_start_ns)
    own = sorted((s for s in recorded if _trace_id(s) == _trace_id(root)), key=_start_ns)
    # FastAPI opens a span for the request as well: it knows the route, so its name is kept.
    doubles = {_id(span): span for span in own if span is not root and _kind(span) == "request"}
    kept = [root, *(s for s in own if s is not root and _id(s) not in doubles)]
    places = {_id(span): index for index, span in enumerate(kept)}
    title = next((span.name for span in doubles.values()), root.name)
    return tuple(_span(span, root, places, title if span is root else None) for span in kept)


def _span(
    span: ReadableSpan, root: ReadableSpan, places: Mapping[int, int], title: str | None
) -> Span:
    parent = None if span is root or span.parent is None else places.get(span.parent.span_id, 0)
    return Span(
        name=title or span.name,
        kind=_kind(span),
        start_ms=(_start_ns(span) - _start_ns(root)) / 1e6,
        duration_ms=((span.end_time or _start_ns(span)) - _start_ns(span)) / 1e6,
        parent=parent,
        statement=_statement(span),
        error=span.status.status_code is StatusCode.ERROR,
    )


def _kind(span: ReadableSpan) -> str:
    if span.name in _KINDS_BY_NAME:
        return _KINDS_BY_NAME[span.name]
    scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
    library = scope.removeprefix("opentelemetry.instrumentation.")
    if library in ("asgi", "fastapi"):
        return "request"
    if library == "asyncpg" and _RESET_MARK in _statement(span):
        return "reset"
    return _KINDS_BY_LIBRARY.get(library, "other")


def _statement(span: ReadableSpan) -> str:
    attributes = span.attributes or {}
    text = next((str(attributes[key]) for key in _STATEMENT_KEYS if key in attributes), "")
    text = " ".join(text.split())
    short = len(text) <= _STATEMENT_CHARACTERS
    return text if short else text[: _STATEMENT_CHARACTERS - 1] + "…"


def _start_ns(span: ReadableSpan) -> int:
    return span.start_time or 0


def _id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    return context.span_id if context is not None else 0


def _trace_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    return context.trace_id if context is not None else 0
