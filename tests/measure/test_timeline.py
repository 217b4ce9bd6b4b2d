import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException

from course_app.load import Generator, as_workload, get
from course_app.measure.probes.asgi import ASGIApp
from course_app.measure.timeline import (
    Stamped,
    Timeline,
    TimelineFailed,
    most_at_once,
    timeline,
)

SERVICE_SECONDS = 0.01

app = FastAPI()


@app.get("/blocks")
async def blocks() -> str:
    time.sleep(SERVICE_SECONDS)
    return "done"


@app.get("/waits")
async def waits() -> str:
    await asyncio.sleep(SERVICE_SECONDS)
    return "done"


@app.get("/goes-on")
async def goes_on(tasks: BackgroundTasks) -> str:
    tasks.add_task(asyncio.sleep, 5 * SERVICE_SECONDS)
    return "done"


@app.get("/quick")
async def quick() -> str:
    return "done"


@app.get("/fails")
async def fails() -> str:
    raise HTTPException(418)


@pytest.fixture(scope="module")
def generator() -> Iterator[Generator]:
    with Generator() as made:
        yield made


def timeline_of(generator: Generator, path: str, **options: int) -> Timeline:
    return timeline(generator, app, as_workload(get(path)), **options)


def test_a_blocking_handler_serves_one_request_at_a_time(generator: Generator) -> None:
    result = timeline_of(generator, "/blocks", requests=24, concurrency=8)
    assert result.overlap == 1
    assert result.share_queued > 0.5
    assert "one at a time" in result.message


def test_a_waiting_handler_serves_all_connections_at_once(generator: Generator) -> None:
    result = timeline_of(generator, "/waits", requests=24, concurrency=8)
    assert result.overlap == 8
    assert result.service_ms.min() >= SERVICE_SECONDS * 1e3 * 0.9


def test_the_stages_of_each_request_follow_each_other(generator: Generator) -> None:
    result = timeline_of(generator, "/waits", requests=40, concurrency=4)
    assert result.client_start_ms.size == 40
    assert result.client_start_ms[0] == 0.0
    assert np.all(np.diff(result.client_start_ms) >= 0)
    assert np.all(result.client_start_ms <= result.server_start_ms)
    assert np.all(result.server_start_ms < result.server_end_ms)
    assert np.all(result.server_start_ms < result.client_end_ms)


def test_a_background_task_ends_after_its_client_has_the_answer(generator: Generator) -> None:
    result = timeline_of(generator, "/goes-on", requests=4, concurrency=2)
    assert np.all(result.server_end_ms > result.client_end_ms)
    assert np.all(result.write_back_ms == 0.0)


def test_the_result_is_readable_by_people_and_programs(generator: Generator) -> None:
    result = timeline_of(generator, "/waits", requests=4, concurrency=2)
    assert "queueing" in str(result)
    assert "<table" in result._repr_html_()
    assert len(json.loads(result.to_json())["client_end_ms"]) == 4


def test_more_requests_than_a_figure_can_show_are_refused(generator: Generator) -> None:
    with pytest.raises(TimelineFailed, match="up to 200 requests"):
        timeline_of(generator, "/waits", requests=201)
    with pytest.raises(TimelineFailed, match="choose fewer"):
        timeline_of(generator, "/waits", concurrency=65)


def test_an_app_that_only_fails_gives_the_error_instead_of_a_timeline(
    generator: Generator,
) -> None:
    with pytest.raises(TimelineFailed, match="418"):
        timeline_of(generator, "/fails", requests=4, concurrency=2)


def test_touching_intervals_do_not_overlap() -> None:
    assert most_at_once(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == 1
    assert most_at_once(np.array([0.0, 0.5, 0.9]), np.array([1.0, 2.0, 3.0])) == 3


def test_stamping_costs_a_small_part_of_what_fastapi_costs() -> None:
    async def bare(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    stamped = Stamped(bare)
    cost = asyncio.run(seconds_per_call(stamped)) - asyncio.run(seconds_per_call(bare))
    assert cost < 0.1 * asyncio.run(seconds_per_call(app))
    assert stamped.stamps[0][2] == 7


async def seconds_per_call(called: ASGIApp) -> float:
    """The fastest of several runs, so that neighbours do not count."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        return None

    runs = []
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(300):
            headers = [(b"host", b"localhost"), (b"x-request-number", b"7")]
            scope = {"type": "http", "method": "GET", "path": "/quick", "headers": headers}
            await called({**scope, "query_string": b"", "root_path": ""}, receive, send)
        runs.append(time.perf_counter() - began)
    return min(runs) / 300
