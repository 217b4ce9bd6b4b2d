import asyncio
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from fastapi import FastAPI

from course_app.load import Generator, as_workload
from course_app.measure.lag import LagSeries, LoopLag, loop_lag
from course_app.measure.probes.loop import LoopProbe
from course_app.measure.subject import Subject
from course_app.measure.sweep import sweep
from course_app.plots.over_time import plot_loop_lag
from course_app.serving import ThreadServer

BLOCK_SECONDS = 0.05

app = FastAPI()


@app.get("/blocks")
async def blocks() -> str:
    time.sleep(BLOCK_SECONDS)
    return "done"


@app.get("/waits")
async def waits() -> str:
    await asyncio.sleep(BLOCK_SECONDS)
    return "done"


@app.get("/in-a-thread")
def in_a_thread() -> str:
    time.sleep(BLOCK_SECONDS)
    return "done"


@pytest.fixture(scope="module")
def generator() -> Iterator[Generator]:
    with Generator() as made:
        yield made


@contextmanager
def subject(generator: Generator, path: str, concurrency: int = 4) -> Iterator[Subject]:
    with ThreadServer(app, name=path) as server:
        target = generator.connect(server.url, as_workload(path), concurrency=concurrency)
        yield Subject(path, server, target, None, [LoopProbe(server)])


@pytest.fixture(scope="module")
def lag(generator: Generator) -> LoopLag:
    subjects = {path: subject(generator, path) for path in ("/blocks", "/waits", "/in-a-thread")}
    return loop_lag(generator, subjects, requests=6, rate=8)


def test_a_blocking_handler_stalls_the_loop_for_as_long_as_it_blocks(lag: LoopLag) -> None:
    stall_ms = float(np.median(lag.series["/blocks"].stalls_ms))
    assert stall_ms > 0.8 * 1e3 * BLOCK_SECONDS
    assert lag.series["/blocks"].unresponsive > 0.2


@pytest.mark.parametrize("path", ["/waits", "/in-a-thread"])
def test_a_handler_that_waits_elsewhere_stalls_it_less(lag: LoopLag, path: str) -> None:
    assert np.median(lag.series[path].stalls_ms) < np.median(lag.series["/blocks"].stalls_ms) / 2


def test_there_is_one_stall_for_each_request(lag: LoopLag) -> None:
    assert all(series.stalls_ms.size == 6 for series in lag.series.values())
    assert math.isfinite(lag.stall("/waits").estimate)


def test_a_timer_that_was_due_just_before_a_request_counts_for_it() -> None:
    series = LagSeries(
        due=np.array([0.000, 0.005, 0.100]),
        late=np.array([0.000, 0.050, 0.001]),
        start=np.array([0.006, 0.200]),
        end=np.array([0.056, 0.210]),
    )
    assert series.stalls_ms.tolist() == [50.0, 0.0]


def test_a_stall_is_a_share_of_the_requests_time(lag: LoopLag) -> None:
    assert lag.share("/blocks").estimate > 0.7
    assert lag.share("/waits").high < lag.share("/blocks").low


def test_no_request_stalls_the_loop_for_more_than_its_time() -> None:
    # One stall that began before its request, and one that lasted for a hundredth of it.
    series = LagSeries(
        due=np.array([0.000, 0.100]),
        late=np.array([0.050, 0.001]),
        start=np.array([0.001, 0.099]),
        end=np.array([0.002, 0.199]),
    )
    share = LoopLag({"app": series}, "GET /", rate=6).share("app")
    assert series.shares.tolist() == [1.0, 0.01]
    assert share.low < 0.01
    assert share.high == 1


@pytest.mark.parametrize(("requests", "told"), [(0, "not known"), (1, "50")])
def test_too_few_answers_for_an_interval_are_shown_all_the_same(requests: int, told: str) -> None:
    series = LagSeries(
        due=np.array([0.000, 0.100]),
        late=np.array([0.050, 0.001]),
        start=np.array([0.001] * requests),
        end=np.array([0.052] * requests),
    )
    lag = LoopLag({"app": series}, "GET /", rate=6)
    assert lag.rows()[0][1] == told
    assert told in str(lag)
    assert told in lag._repr_html_()
    assert lag.share("app").above(0.5) is None


def test_lag_is_readable_by_people_and_programs_and_has_a_figure(lag: LoopLag) -> None:
    assert "/blocks" in str(lag)
    assert len(json.loads(lag.to_json())["series"]["/waits"]["start"]) == 6
    assert "a request is under way" in str(plot_loop_lag(lag).svg)


def test_def_handlers_use_worker_threads_and_async_handlers_none(generator: Generator) -> None:
    busy = {}
    for path in ("/in-a-thread", "/waits"):
        with subject(generator, path, concurrency=60) as opened:
            probe = opened.probes[0]
            probe.start()
            generator.closed(opened.target, requests=120)
            busy[path] = {r.name: r.value for r in probe.stop()}["worker threads busy"]
    assert busy == {"/in-a-thread": 40, "/waits": 0}


def test_a_sweep_by_rounds_sends_so_many_requests_per_connection(generator: Generator) -> None:
    result = sweep(
        generator,
        {"blocking": lambda value: subject(generator, "/blocks", int(value))},
        parameter="concurrency",
        values=[1, 8],
        windows=1,
        rounds=1,
    )
    assert result.at("blocking", 8).middle("p99") > 5 * result.at("blocking", 1).middle("p99")
