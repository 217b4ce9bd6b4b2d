"""Visitors who arrive by phases, hang up, and try again; every attempt is on record."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI, Request, Response

from course_app.load import NEVER, Generator, NobodyListens, OutOfBounds, Retries, Visits
from course_app.load.engine import visits as engine
from course_app.load.engine.visits import due_ns
from course_app.load.visits import TIMED_OUT
from course_app.serving import ThreadServer

SECONDS = 0.3


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = FastAPI()

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/never")
    async def never() -> None:
        await asyncio.sleep(60)

    @app.get("/busy")
    async def busy() -> Response:
        return Response(status_code=503)

    @app.get("/sent")
    async def sent(request: Request) -> Response:
        return Response(status_code=200 if "x-request-start" in request.headers else 400)

    with ThreadServer(app) as server:
        yield server.url


def visit(generator: Generator, url: str, path: str, **options: object) -> Visits:
    patience = options.pop("patience", 5.0)
    numbered = bool(options.pop("numbered", False))
    target = generator.connect(
        url,
        path,
        concurrency=4,
        timeout_seconds=float(patience),  # type: ignore[arg-type]
        number_requests=numbered,
    )
    options.setdefault("phases", [(SECONDS, 100)])
    try:
        return generator.visit(target, **options)  # type: ignore[arg-type]
    finally:
        generator.disconnect(target)


def test_who_is_answered_comes_once(generator: Generator, url: str) -> None:
    visits = visit(generator, url, "/hello", retries=Retries(times=3))
    assert visits.visitors == visits.visitor.size == 30
    assert visits.right.all()
    assert (visits.waited_ms > 0).all()
    assert (visits.start_ns >= visits.due_ns).all()


def test_phases_follow_one_another(generator: Generator, url: str) -> None:
    visits = visit(generator, url, "/hello", phases=[(0.2, 50), (0.1, 200), (0.2, 50)])
    seconds = (visits.arrived_ns - visits.window_start_ns) / 1e9
    assert np.histogram(seconds, [0, 0.2, 0.3, 0.5])[0].tolist() == [10, 20, 10]


def test_strangers_arrive_at_random_but_the_same_way_each_time() -> None:
    phases = [(50.0, 100.0)]
    first, again, other = (np.array(list(due_ns(phases, seed))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert first.size != other.size or (first != other).any()
    gaps = np.diff(first) / 1e9
    # Of a Poisson process mean and standard deviation are the same.
    assert gaps.mean() == pytest.approx(1 / 100, rel=0.1)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)


def test_pauses_are_drawn_from_another_stream_than_arrivals() -> None:
    target: Any = None
    drawn = []
    for seed in (1, 1, 2):
        window = engine.Visits(target, 0, phases=[(1.0, 9.0)], seed=seed, retries=asdict(NEVER))
        drawn.append(window.random.random())
        window.poller.close()
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] != random.Random(1).random()


def test_who_loses_patience_hangs_up_and_tries_again(generator: Generator, url: str) -> None:
    retries = Retries(times=2, pause_seconds=0.02)
    visits = visit(generator, url, "/never", patience=0.05, retries=retries)
    assert visits.visitors == 30
    assert Counter(visits.attempt.tolist()) == {0: 30, 1: 30, 2: 30}
    assert set(visits.status.tolist()) == {TIMED_OUT}
    waited = (visits.end_ns - visits.start_ns) / 1e9
    assert waited.min() >= 0.05
    assert 0 < visits.generator_busy < visits.generator_cpu_seconds / visits.window_seconds
    assert np.isnan(visits.waited_ms).all()


def test_pauses_grow_and_jitter_shortens_them(generator: Generator, url: str) -> None:
    def pauses(jitter: bool) -> np.ndarray:
        retries = Retries(times=2, pause_seconds=0.05, jitter=jitter)
        visits = visit(generator, url, "/busy", retries=retries, phases=[(0.1, 200)])
        found = np.full((visits.visitors, 2), np.nan)
        for who in range(visits.visitors):
            mine = visits.visitor == who
            due, end = visits.due_ns[mine], visits.end_ns[mine]
            found[who] = (due[1:] - end[:-1]) / 1e9
        return found

    assert pauses(jitter=False) == pytest.approx(np.tile([0.05, 0.1], (20, 1)))
    shorter = pauses(jitter=True)
    assert (shorter <= [0.05, 0.1]).all()
    assert np.unique(shorter).size > 20


def test_a_budget_bounds_the_retries_of_all(generator: Generator, url: str) -> None:
    options = {"phases": [(0.5, 200)]}
    all_of_them = visit(generator, url, "/busy", retries=Retries(times=3), **options)
    some = visit(generator, url, "/busy", retries=Retries(times=3, budget=0.1), **options)
    assert all_of_them.visitor.size == 400
    assert 100 + 10 <= some.visitor.size <= 100 + 10 + 10


def test_a_refusal_is_no_right_answer_and_is_on_record(generator: Generator, url: str) -> None:
    visits = visit(generator, url, "/busy")
    assert set(visits.status.tolist()) == {503}
    assert not visits.right.any()


def test_numbered_requests_say_when_they_were_sent(generator: Generator, url: str) -> None:
    assert visit(generator, url, "/sent", numbered=True).right.all()
    assert not visit(generator, url, "/sent").right.any()


def test_without_a_server_nobody_is_sent(generator: Generator) -> None:
    async def app(_scope: dict[str, str], _receive: object, _send: object) -> None: ...

    with ThreadServer(app) as server:
        target = generator.connect(server.url, "/", concurrency=2)
    with pytest.raises(NobodyListens):
        generator.visit(target, phases=[(0.1, 50)])


@pytest.mark.parametrize(
    "options", [{"times": 11}, {"times": -1}, {"pause_seconds": 11.0}, {"budget": 2.0}]
)
def test_retries_have_bounds(options: dict[str, float]) -> None:
    with pytest.raises(OutOfBounds):
        Retries(**options)  # type: ignore[arg-type]


def test_phases_have_bounds(generator: Generator, url: str) -> None:
    for phases in ([(61.0, 1.0)], [(1.0, 0.0)], [], [(40.0, 1.0), (40.0, 1.0)]):
        with pytest.raises(OutOfBounds):
            visit(generator, url, "/hello", phases=phases)
