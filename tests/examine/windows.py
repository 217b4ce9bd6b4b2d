"""Windows of load in which all requests are alike, for tests of what is read from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course_app.examine.seen import Look
from course_app.load import LoadResult

ROUTE = "GET /orders"


def look(
    clients: int,
    *,
    millis: float,
    requests: int,
    cpu: float,
    connect: float = 0.0,
    connect_cpu: float = 0.0,
    work: float = 0.0,
    route: str = ROUTE,
) -> Look:
    """A window of one second in which all requests are alike; times of one request in ms."""
    ends = np.linspace(0.01, 1.0, requests)
    ns = (1e9 * ends).astype(np.int64)
    zeros = np.zeros(requests, dtype=np.int64)
    load = LoadResult(
        intended_ns=ns - int(1e6 * millis), start_ns=ns - int(1e6 * millis), end_ns=ns,
        request_number=np.arange(requests), request_index=zeros, status=zeros + 200,
        failed_due_ns=zeros[:0], failed_ns=zeros[:0], kept=(), window_start_ns=0,
        window_seconds=1.0, concurrency=clients, rate=None,
        error_count=0, errors=(),
    )  # fmt: skip
    visits = [
        [route, "/orders", end - millis / 1e3, end, 200, [], [],
         [[[0, connect / 1e3, n, n + connect_cpu / 1e3, 1], "sql", True, True, -1]][: connect > 0],
         {"compress": work / 1e3}, None]
        for n, end in enumerate(ends)
    ]  # fmt: skip
    raw = {
        "seconds": 1.0, "process_cpu": cpu, "visits": visits,
        "texts": [], "places": [], "states": [],
    }  # fmt: skip
    return Look(clients, load, raw)


def together(first: Look, second: Look) -> Look:
    """One window of two routes, which are asked as often."""
    stamps = {
        name: np.concatenate([getattr(first.load, name), getattr(second.load, name)])
        for name in ("intended_ns", "start_ns", "end_ns", "request_number", "status")
    }
    each = len(first.load.start_ns)
    index = np.repeat([0, 1], [each, len(second.load.start_ns)])
    load = replace(first.load, request_index=index, **stamps)
    raw = {**first.raw, "visits": [*first.raw["visits"], *second.raw["visits"]]}
    raw["process_cpu"] += second.raw["process_cpu"]
    return Look(first.clients, load, raw)
