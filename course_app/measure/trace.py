"""One request as a waterfall of spans: which part of it waits for what, and how often.

The spans are OpenTelemetry's own: FastAPI's (dependencies, endpoint, serialization,
background tasks) and those of the instrumentations of asgi, asyncpg, psycopg, redis and
httpx. All of them are switched on for one trace and off again; the spans stay in memory.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from course_app.load import Generator, TimedOut, Workload
from course_app.measure.instrument import instrumented
from course_app.measure.probes.asgi import ASGIApp
from course_app.measure.result import Result
from course_app.measure.spans import Span, TraceFailed, spans_of_last_request
from course_app.measure.subject import silence
from course_app.serving import ThreadServer
from course_app.words import amount

#: Requests sent before the one that is traced: pools open, caches fill, code paths warm up.
WARMUP_REQUESTS = 2


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
            amount(self.counts[kind], noun) for kind, noun in _ASKED.items() if kind in self.counts
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
) -> Trace:
    """Serve the app under instrumentation and trace one request after some warm-up.

    The app is started for the trace, so that its pools and clients are made while the
    instrumentation is on; everything is as before afterwards.

    Raises:
        NoAnswer: the app gave no answer that can be read.
        AppDoesNotAnswer: it gave none in time.
    """
    with instrumented(app) as (traced_app, finished_spans):
        with ThreadServer(traced_app, name=name) as server:
            target = generator.connect(server.url, workload, concurrency=1)
            try:
                answers = generator.sample(target, WARMUP_REQUESTS + 1)
            except TimedOut as error:
                raise silence(server, str(error).rstrip(".")) from None
            finally:
                generator.disconnect(target)
        recorded = finished_spans()
    if len(answers) <= WARMUP_REQUESTS:
        raise TraceFailed("The app did not answer: try the request with lab.measure first.")
    spans = spans_of_last_request(recorded)
    request = answers[-1].request_text.partition("\r\n")[0].removesuffix(" HTTP/1.1")
    return Trace(name=name, request=request, status=answers[-1].status, spans=spans)
