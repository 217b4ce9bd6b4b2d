import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from fastapi import BackgroundTasks, FastAPI

from course_app.load import Generator, as_workload, post
from course_app.measure.bystanders import Bystanders, Repeat, Scene, bystanders
from course_app.measure.probes import Counts
from course_app.measure.probes.loop import LoopProbe
from course_app.measure.subject import Subject
from course_app.plots.bystanders import plot_bystanders
from course_app.serving import ThreadServer

WORK_SECONDS = 0.15
WORK_MS = 1e3 * WORK_SECONDS


async def awaits() -> None:
    await asyncio.sleep(WORK_SECONDS)


async def blocks() -> None:
    time.sleep(WORK_SECONDS)


def in_a_thread() -> None:
    time.sleep(WORK_SECONDS)


def shop(work: Callable[[], object]) -> FastAPI:
    app = FastAPI()

    @app.post("/orders", status_code=202)
    async def order(background: BackgroundTasks) -> None:
        background.add_task(work)

    @app.get("/ping")
    async def ping() -> str:
        return "pong"

    return app


@pytest.fixture(scope="module")
def generators() -> Iterator[tuple[Generator, Generator]]:
    with Generator() as one, Generator() as other:
        yield one, other


@contextmanager
def scene(
    generators: tuple[Generator, Generator], app: FastAPI, status: int = 202
) -> Iterator[Scene]:
    with ThreadServer(app) as server:
        target = generators[0].connect(server.url, as_workload("/ping"), concurrency=32)
        order = post("/orders", expect_status=status)
        trigger = generators[1].connect(server.url, order, concurrency=2)
        yield Scene(Subject("shop", server, target, None, [LoopProbe(server)]), trigger)


@pytest.fixture(scope="module")
def watched(generators: tuple[Generator, Generator]) -> Bystanders:
    works = {"awaits": awaits, "blocks": blocks, "in a thread": in_a_thread}
    scenes = {name: scene(generators, shop(work)) for name, work in works.items()}
    return bystanders(generators, scenes, seconds=0.5, repeats=2)


def longest_ms(result: Bystanders, name: str) -> float:
    return max(repeat.slowest_ms for repeat in result.series[name])


def test_who_comes_after_a_blocking_task_waits_for_it(watched: Bystanders) -> None:
    assert not watched.wrong
    assert longest_ms(watched, "blocks") > WORK_MS
    assert longest_ms(watched, "awaits") < WORK_MS
    assert watched.counts["blocks"]["max loop lag"] > WORK_MS / 2


def test_each_trigger_is_answered_before_its_work_is_done(watched: Bystanders) -> None:
    for name in ("awaits", "in a thread"):
        for repeat in watched.series[name]:
            assert repeat.answered_ms.shape == (2,)
            assert repeat.answered_ms.max() < WORK_MS


def test_bystanders_come_before_and_after_the_trigger(watched: Bystanders) -> None:
    for repeat in watched.series["awaits"]:
        assert repeat.due_ms.min() < -50
        assert repeat.due_ms.max() > 200


def test_worker_threads_are_counted(watched: Bystanders) -> None:
    assert watched.counts["in a thread"]["worker threads busy"] == 2
    assert watched.counts["blocks"]["worker threads busy"] == 0


def test_only_those_who_were_under_way_after_the_trigger_count() -> None:
    due, latency = np.array([-90.0, -5.0, 10.0]), np.array([80.0, 30.0, 2.0])
    assert Repeat(due, latency, np.array([1.0])).slowest_ms == 30


def test_a_single_repeat_is_shown_without_limits() -> None:
    repeat = Repeat(np.array([0.0]), np.array([203.4]), np.array([2.34]))
    result = Bystanders({"shop": [repeat]}, {"shop": Counts(1)}, "POST /orders", "GET /", 10.0)
    assert result.rows() == [("shop", "2.3", "203")]
    assert result.message.endswith("shop: 203 ms")


def test_long_waits_have_three_digits_and_short_ones_two() -> None:
    repeats = [Repeat(np.array([0.0]), np.array([203.4]), np.array([2.34]))] * 2
    result = Bystanders({"shop": repeats}, {"shop": Counts(1)}, "POST /orders", "GET /ping", 10.0)
    assert result.rows()[0][1:3] == ("2.3 [2.3, 2.3]", "203 [203, 203]")


def test_wrong_answers_are_told(generators: tuple[Generator, Generator]) -> None:
    scenes = {"shop": scene(generators, shop(awaits), status=201)}
    result = bystanders(generators, scenes, seconds=0.2, repeats=2)
    assert "Answers were wrong" in result.message
    assert np.isnan(result.series["shop"][0].answered_ms).all()


def test_the_figure_says_what_the_result_says(watched: Bystanders) -> None:
    assert plot_bystanders(watched).title == watched.message
    assert plot_bystanders(watched, title="Who waits?").title == "Who waits?"
