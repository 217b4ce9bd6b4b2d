"""Switches OpenTelemetry's instrumentations on for one trace, and all of them off again.

Two spans are added to those of the libraries: opening a PostgreSQL connection with asyncpg,
and rendering a JSON answer. SQLAlchemy speaks through the drivers, so it is seen already;
its own instrumentation would count each statement twice.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from opentelemetry import trace as opentelemetry_trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer
from starlette.responses import JSONResponse

from course_app.measure.probes.asgi import ASGIApp

CONNECT_SPAN = "connect to PostgreSQL"
RENDER_SPAN = "json.dumps"

#: Libraries, and the classes that instrument them.
_INSTRUMENTORS = {
    "asyncpg": "AsyncPGInstrumentor",
    "psycopg": "PsycopgInstrumentor",
    "psycopg2": "Psycopg2Instrumentor",
    "redis": "RedisInstrumentor",
    "httpx": "HTTPXClientInstrumentor",
}

FinishedSpans = Callable[[], Sequence[ReadableSpan]]


@contextmanager
def instrumented(app: ASGIApp) -> Iterator[tuple[ASGIApp, FinishedSpans]]:
    """The app under instrumentation, and a function that returns the spans so far."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with ExitStack() as stack:
        stack.callback(provider.shutdown)
        stack.enter_context(_global_provider(provider))
        for library, name in _INSTRUMENTORS.items():
            if _installed(library):
                stack.enter_context(_library(library, name, provider))
        tracer = provider.get_tracer("course_app")
        stack.enter_context(_spans_of_connecting(tracer))
        stack.enter_context(_spans_of_rendering(tracer))
        wrapped: Any = OpenTelemetryMiddleware(
            app,
            tracer_provider=provider,
            meter_provider=NoOpMeterProvider(),
            exclude_spans=["receive", "send"],
        )
        yield wrapped, exporter.get_finished_spans


@contextmanager
def _global_provider(provider: TracerProvider) -> Iterator[None]:
    """FastAPI traces itself whenever there is a global provider, wherever the app is wrapped.

    OpenTelemetry lets a global provider be set but not taken back; and one that stays would
    slow down every later request of every app. Its own tests reset this attribute as well.
    """
    before = opentelemetry_trace._TRACER_PROVIDER
    opentelemetry_trace._TRACER_PROVIDER = provider
    try:
        yield
    finally:
        opentelemetry_trace._TRACER_PROVIDER = before


@contextmanager
def _library(library: str, name: str, provider: TracerProvider) -> Iterator[None]:
    module = importlib.import_module(f"opentelemetry.instrumentation.{library}")
    instrumentor = getattr(module, name)()
    if instrumentor.is_instrumented_by_opentelemetry:
        yield  # the reader's own choice, and the reader's own spans
        return
    with _class_methods_put_back(library):
        instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
        try:
            yield
        finally:
            instrumentor.uninstrument()


@contextmanager
def _class_methods_put_back(library: str) -> Iterator[None]:
    """psycopg's instrumentation leaves ``connect`` bound to one class, deaf to subclasses."""
    module = importlib.import_module(library)
    owners = [module.Connection, module.AsyncConnection] if library == "psycopg" else []
    before = [vars(owner)["connect"] for owner in owners]
    try:
        yield
    finally:
        for owner, method in zip(owners, before, strict=True):
            owner.connect = method


@contextmanager
def _spans_of_connecting(tracer: Tracer) -> Iterator[None]:
    from asyncpg import connect_utils

    connect = connect_utils._connect

    async def traced_connect(*args: Any, **options: Any) -> Any:
        with tracer.start_as_current_span(CONNECT_SPAN):
            return await connect(*args, **options)

    connect_utils._connect = traced_connect
    try:
        yield
    finally:
        connect_utils._connect = connect


@contextmanager
def _spans_of_rendering(tracer: Tracer) -> Iterator[None]:
    """FastAPI's serialization span ends before a plain answer becomes text."""
    render = JSONResponse.render

    def traced_render(self: JSONResponse, content: Any) -> bytes:
        with tracer.start_as_current_span(RENDER_SPAN):
            return bytes(render(self, content))

    JSONResponse.render = traced_render  # type: ignore[method-assign]
    try:
        yield
    finally:
        JSONResponse.render = render  # type: ignore[method-assign]


def _installed(library: str) -> bool:
    if find_spec(library) is None:
        return False
    return find_spec(f"opentelemetry.instrumentation.{library}") is not None
