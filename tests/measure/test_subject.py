"""Loads on worker processes reach the workers, and what they cost is divided by all requests."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from course_app.apps.hello import app as hello
from course_app.load import Generator, as_workload, get, zipf
from course_app.measure.probes import Reading
from course_app.measure.subject import Subject, connect, count, cpu_per_request_us
from course_app.serving import ProcessServer, ThreadServer
from course_app.system.cores import usable_cores

HELLO = "course_app.apps.hello:app"


@pytest.mark.skipif(usable_cores() < 2, reason="one core: one busy worker is all there can be")
def test_a_crowd_of_clients_never_ends_up_with_one_of_two_workers() -> None:
    with ProcessServer(HELLO, workers=2) as server, Generator() as generator:
        for _ in range(8):
            target = connect(generator, server, as_workload("/hello"), 16)
            held = server.connections()
            assert sum(held.values()) == 16
            assert len(held) == 2
            assert min(held.values()) >= 2
            generator.disconnect(target)


@pytest.mark.slow
def test_a_single_client_is_content_with_one_worker() -> None:
    with ProcessServer(HELLO, workers=2) as server, Generator() as generator:
        connect(generator, server, as_workload("/hello"), 1)
        generator.sample(connect(generator, server, as_workload("/hello"), 1))
        assert sum(server.connections().values()) == 2


def test_what_the_warm_up_was_answered_is_counted_as_served() -> None:
    served = 0

    async def app(scope: object, _receive: object, send: object) -> None:
        nonlocal served
        if scope["type"] == "http":  # type: ignore[index]
            served += 1
            await send({"type": "http.response.start", "status": 200})  # type: ignore[operator]
            await send({"type": "http.response.body"})  # type: ignore[operator]

    with ThreadServer(app) as server, Generator() as generator:
        target = connect(generator, server, as_workload("/"), 4)
        load = generator.closed(target, seconds=0.1, warmup_seconds=0.1)
        assert load.served == served > 1.2 * load.completed
        us = cpu_per_request_us((0.0, None), (1.0, None), load.served)
        assert us == pytest.approx(1e6 / served)


def test_causes_are_counted_over_the_requests_of_a_window_from_an_empty_cache() -> None:
    asked: list[str] = []
    cache: set[str] = set()

    async def app(scope: object, _receive: object, send: object) -> None:
        if scope["type"] == "http":  # type: ignore[index]
            asked.append(scope["path"])  # type: ignore[index]
            cache.add(asked[-1])
            await send({"type": "http.response.start", "status": 200})  # type: ignore[operator]
            await send({"type": "http.response.body"})  # type: ignore[operator]

    class Asked:
        """What was asked, and whether it began with an empty cache."""

        def start(self) -> None:
            self.began, self.kept = len(asked), len(cache)

        def stop(self) -> Sequence[Reading]:
            return [Reading("kept before", self.kept, False)]

    probe = Asked()
    with ThreadServer(app) as server, Generator() as generator:
        traffic = as_workload(get("/{i}", i=zipf(1000)))
        target = connect(generator, server, traffic, 4, prepared_requests=30)
        subject = Subject("app", server, target, probes=[probe])
        counts, _ = count(generator, subject, requests=30, before=cache.clear)
        generator.closed(target, requests=30)
    assert (counts.requests, counts["kept before"], probe.began) == (30, 0, 30)
    warm, counted, window = (Counter(asked[i : i + 30]) for i in (0, 30, 60))
    assert warm == counted == window


def test_what_worker_processes_of_the_app_work_counts_also_when_they_have_ended() -> None:
    target: Any = None
    with ThreadServer(hello) as server:
        subject = Subject("app", server, target)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            assert pool.submit(sum, range(1)).result() == 0
            (before, _), own_before = subject.work(), time.process_time()
            pool.submit(sum, range(5_000_000)).result()
            (after, _), own_after = subject.work(), time.process_time()
        (ended, _) = subject.work()
    assert before is not None
    assert after is not None
    assert ended is not None
    assert after - before > own_after - own_before + 0.02
    assert ended >= after
