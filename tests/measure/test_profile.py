"""A flame graph names the function that keeps the loop busy, and tells work from waiting."""

import asyncio
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from course_app.load import Generator, as_workload
from course_app.measure.flame import WAITING, FlameFrame
from course_app.measure.profile import FlameGraph, profile


@pytest.fixture(scope="module")
def generator() -> Iterator[Generator]:
    with Generator() as started:
        yield started


def busy_work() -> int:
    return sum(number * number for number in range(20_000))


def busy_app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def busy() -> int:
        return busy_work()

    return app


def idle_app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def idle() -> None:
        await asyncio.sleep(0.05)

    return app


def flame(generator: Generator, app: FastAPI) -> FlameGraph:
    return profile(generator, app, as_workload("/"), seconds=0.4, concurrency=2)


def test_the_busy_function_has_most_of_the_time(generator: Generator) -> None:
    result = flame(generator, busy_app())
    assert result.requests > 0
    assert result.within()["busy_work"] > 0.6
    assert result.waiting < 0.3
    assert "busy_work" in result.message


def test_a_comprehension_is_part_of_its_function(generator: Generator) -> None:
    names = {frame.name for frame in flame(generator, busy_app()).root.walk()}
    assert "busy_work" in names
    assert not any(name.startswith("<") for name in names)


def test_an_app_that_waits_leaves_the_thread_waiting(generator: Generator) -> None:
    assert flame(generator, idle_app()).waiting > 0.6


def test_frames_below_never_take_longer_than_the_frame_above(generator: Generator) -> None:
    root = flame(generator, busy_app()).root
    for frame in root.walk():
        assert sum(child.seconds for child in frame.children) <= frame.seconds * 1.001
    assert sum(child.seconds for child in root.children) == pytest.approx(root.seconds, rel=0.001)


def test_shares_count_recursion_once() -> None:
    inner = FlameFrame("walk", "app", 2.0)
    outer = FlameFrame("walk", "app", 6.0, (inner,))
    idle = FlameFrame(WAITING, WAITING, 4.0)
    graph = FlameGraph("app", "GET /", 1, 1, FlameFrame("thread", "library", 10.0, (outer, idle)))
    assert graph.within()["walk"] == pytest.approx(0.6)
    assert graph.own()["walk"] == pytest.approx(0.6)
    assert graph.waiting == pytest.approx(0.4)


def test_wrong_answers_are_told_instead_of_where_they_spent_their_time(
    generator: Generator,
) -> None:
    result = profile(generator, FastAPI(), as_workload("/nowhere"), seconds=0.05)
    assert result.message.startswith("Answers were wrong. app: GET /nowhere: expected status 200")
    assert "404" in str(result)
