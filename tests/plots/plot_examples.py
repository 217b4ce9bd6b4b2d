"""Results with made-up figures, one for each kind of figure."""

from collections.abc import Callable, Sequence

import numpy as np

from course_app.load import LoadResult
from course_app.load.swarm import EndpointStats, SwarmReport
from course_app.measure.bystanders import Bystanders, Repeat
from course_app.measure.comparison import Comparison, Variant
from course_app.measure.flame import WAITING, FlameFrame
from course_app.measure.load_test import LoadTest
from course_app.measure.measurement import Measurement
from course_app.measure.noise import NoiseReport
from course_app.measure.probes import Counts, Reading
from course_app.measure.profile import FlameGraph
from course_app.measure.spans import Span
from course_app.measure.sweep import Point, Sweep
from course_app.measure.timeline import Timeline
from course_app.measure.trace import Trace

NOISE = NoiseReport(wall_seconds=4.0, cores=2, others_cores=0.1, server_wait_share=0.03)
STEPS = (1, 2, 5, 10, 20, 40, 80, 120, 200)
LONG_NAME = "pool of 10 connections with the cache of prepared statements switched off"


def draws() -> np.random.Generator:
    return np.random.default_rng(1)


def variant(name: str, p50_ms: float, connections: float = 0.0, spread: float = 0.05) -> Variant:
    random = draws()
    p50 = p50_ms * np.exp(random.normal(0, spread, 10))
    readings = (
        Reading("PostgreSQL connections opened", 200 * connections),
        Reading("SQL statements", 200 * (1 + 6 * connections)),
    )
    return Variant(
        name=name,
        rounds={"p50": p50, "throughput": 16e3 / p50, "cpu": 30 * p50},
        latencies_ms=p50_ms * np.exp(random.normal(0, 0.3, 3000)),
        counts=Counts(200, readings),
    )


def comparison(*variants: Variant) -> Comparison:
    return Comparison(
        workload="GET /users/{user_id}",
        concurrency=16,
        metric="p50",
        protocol="windows",
        variants=variants or (variant("connect per request", 45, 1.0), variant("pool", 5)),
        noise=NOISE,
        generator_busy=0.3,
    )


def six_variants() -> Comparison:
    return comparison(
        variant("connect per request", 45, 1.0),
        variant("pool of 1", 14),
        variant("pool of 10", 5),
        variant(LONG_NAME, 5.4),
        variant("psycopg", 0.2),
        variant("a pool per request", 95, 10.0),
    )


def load(latency_ms: Sequence[float], rate: float | None = None) -> LoadResult:
    size = len(latency_ms)
    intended = np.linspace(0, 5e9, size).astype(np.int64)
    start = intended + np.int64(100_000)
    numbers = np.arange(size)
    return LoadResult(
        intended_ns=intended,
        start_ns=start,
        end_ns=intended + (np.asarray(latency_ms) * 1e6).astype(np.int64),
        request_number=numbers,
        request_index=np.zeros(size, np.int64),
        status=np.full(size, 200),
        window_start_ns=0,
        window_seconds=5.0,
        concurrency=16,
        rate=rate,
        error_count=0,
        errors=(),
    )


def stalled(rate: float | None = None) -> LoadResult:
    """Two stalls of a second, as each model sees them."""
    random = draws()
    latency = random.exponential(1.5, 2000) + 1.0
    phase = np.linspace(0, 2, 2000) % 1
    return load(np.where(phase > 0.8, (1 - phase) * 5000, latency).tolist(), rate)


def measurement(rate: float | None = None) -> Measurement:
    return Measurement("app", "GET /", stalled(rate), Counts(10), 120.0, NOISE)


def points(height: Callable[[float], float]) -> tuple[Point, ...]:
    random = draws()
    found = []
    for step in STEPS:
        windows = tuple(float(height(step) * np.exp(random.normal(0, 0.05))) for _ in range(3))
        metrics = dict.fromkeys(("throughput", "p50", "p99", "cpu"), windows)
        found.append(Point(float(step), metrics))
    return tuple(found)


def sweep(number: int = 3) -> Sweep:
    heights = (
        ("def + time.sleep", lambda c: 19 * min(c, 40)),
        ("async def + time.sleep", lambda _: 19.0),
        ("async def + await", lambda c: min(19.3 * c, 2600)),
        (LONG_NAME, lambda c: 18.5 * min(c, 40)),
        ("gunicorn with uvicorn-worker", lambda c: 18.7 * min(c, 40)),
        ("hypercorn", lambda c: 18.9 * min(c, 40)),
    )
    series = {name: points(height) for name, height in heights[:number]}
    return Sweep("concurrency", "throughput", series, "GET /", NOISE)


def timeline(requests: int = 40) -> Timeline:
    sent = np.linspace(0, 10, requests)
    start = np.arange(requests) * 5.0 + 0.3
    end = start + 5.0
    return Timeline("blocking", "GET /", 16, np.minimum(sent, start), start, end, end + 0.4)


def trace(statements: int = 50) -> Trace:
    listing = "SELECT id, author_id, title FROM posts ORDER BY created_at DESC LIMIT 50"
    spans = [
        Span("GET /posts", "request", 0.0, 48.0),
        Span("fastapi.endpoint", "handler", 0.4, 46.0, 0),
        Span("SELECT", "sql", 0.6, 2.2, 1, listing),
    ]
    for i in range(statements):
        text = "SELECT name FROM users WHERE id = $1"
        spans.append(Span("SELECT", "sql", 3 + 0.85 * i, 0.2, 1, text))
        spans.append(Span("SELECT", "reset", 3.3 + 0.85 * i, 0.1, 1, "SELECT ..."))
    spans.append(Span("fastapi.serialization", "serialization", 46.6, 1.1, 0))
    return Trace("N+1", "GET /posts", 200, tuple(spans))


def flame() -> FlameGraph:
    stage = FlameFrame("related", "app", 6.0, (FlameFrame("re", "library", 2.0),))
    handler = FlameFrame("read_tag", "app", 7.0, (stage, FlameFrame("authors", "app", 0.5)))
    server = FlameFrame("uvicorn", "library", 8.0, (handler,))
    idle = FlameFrame(WAITING, WAITING, 2.0)
    root = FlameFrame("the server's thread", "library", 10.0, (server, idle))
    return FlameGraph("/tags/[id]", "GET /tags/{tag_id}", 4, 80, root)


def load_test() -> LoadTest:
    reports = tuple(
        SwarmReport(
            seconds=0.25 * n,
            users=4,
            endpoints=tuple(
                EndpointStats(name, 5 * n, 0, p50, 2 * p50)
                for name, p50 in (("/posts/[id]", 4.0), ("/tags/[id]", 29.0 - n))
            ),
            cpu_seconds=1 + 0.02 * n,
            processes=1,
        )
        for n in range(1, 10)
    )
    return LoadTest("the newsroom", 4, reports)


def bystanders(apps: int = 3) -> Bystanders:
    """Half of the apps keep their bystanders waiting for 200 ms, and answer at once."""
    due = np.arange(-100.0, 250.0, 10.0)
    waits = np.where((due >= 0) & (due < 200), 200 - due, 1.0)
    series = {
        f"app {n}": [Repeat(due, waits if n % 2 else np.ones_like(due), np.array([answered]))] * 3
        for n, answered in zip(range(apps), (200.0, 1.2, 1.3, 0.9, 1.1, 1.0), strict=False)
    }
    counts = {name: Counts(1, (Reading("max loop lag", 4.0, False, "ms"),)) for name in series}
    return Bystanders(series, counts, "POST /orders", "GET /ping", 10.0)
