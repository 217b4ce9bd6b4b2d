"""What OpenTelemetry recorded of one request, as plain spans of the kinds that lessons speak of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from course_app.errors import CourseError
from course_app.measure.instrument import CONNECT_SPAN, RENDER_SPAN

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
