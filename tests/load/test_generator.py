"""The generator on real servers: both models, alternation, numbers, limits of what it sends."""

import asyncio
import itertools
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from fastapi import FastAPI, Request, Response

from course_app.errors import CourseError
from course_app.load import (
    BadWorkload,
    Generator,
    NobodyListens,
    NotLoopback,
    OutOfBounds,
    as_workload,
    choice,
    get,
    mix,
    post,
    sequence,
    uniform,
)
from course_app.load.limits import loopback_address
from course_app.serving import ThreadServer
from course_app.system import platforms


class Seen:
    """What the app received, in order."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.names: list[str] = []
        self.order: list[str] = []


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def url(seen: Seen) -> Iterator[str]:
    app = FastAPI()

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/items/{item}")
    async def item(item: str, request: Request) -> dict[str, str]:
        seen.numbers.append(request.headers.get("x-request-number", ""))
        seen.order.append(item)
        return {"item": item}

    @app.post("/items", status_code=201)
    async def create(body: dict[str, str | int]) -> dict[str, str | int]:
        seen.names.append(str(body["name"]))
        return body

    @app.get("/sleep/{milliseconds}")
    async def sleep(milliseconds: float) -> None:
        await asyncio.sleep(milliseconds / 1000)

    @app.get("/limited")
    async def limited() -> Response:
        return Response(status_code=429 if next(turns) % 2 else 200)

    turns = itertools.count()
    with ThreadServer(app) as server:
        yield server.url


def test_a_closed_window_of_requests_answers_exactly_that_many(
    generator: Generator, url: str
) -> None:
    target = generator.connect(url, "/hello", concurrency=7)
    result = generator.closed(target, requests=500)
    assert (result.completed, result.error_count) == (500, 0)
    assert result.throughput * result.window_seconds == pytest.approx(500)
    assert result.concurrency == 7
    assert sorted(result.request_number) == list(range(500))
    again = generator.closed(target, requests=3)
    assert sorted(again.request_number) == [500, 501, 502]


def test_stamps_are_in_order_and_on_one_clock(generator: Generator, url: str) -> None:
    target = generator.connect(url, "/hello", concurrency=3)
    result = generator.closed(target, seconds=0.3, warmup_seconds=0.1)
    closes_ns = result.window_start_ns + result.window_seconds * 1e9
    assert result.window_seconds == pytest.approx(0.3)
    assert result.start_ns.min() >= result.window_start_ns
    assert result.start_ns.max() < closes_ns + 1e6  # the clock is read before each is sent
    assert (result.end_ns > result.start_ns).all()
    assert (result.intended_ns == result.start_ns).all()
    assert (np.diff(result.end_ns) >= 0).all()
    assert result.percentile(50) == pytest.approx(float(np.median(result.service_ms)))
    assert 0 < result.generator_cpu_seconds < result.window_seconds + 0.1
    assert result.throughput == pytest.approx(result.completed / 0.3, rel=0.1)


def test_a_closed_window_keeps_its_concurrency_and_waits_for_the_last_answers(
    generator: Generator, url: str
) -> None:
    target = generator.connect(url, "/sleep/300", concurrency=4)
    result = generator.closed(target, seconds=0.75)
    assert result.completed == 12  # three rounds, of which the last ends after the window
    assert result.throughput == pytest.approx(4 / 0.3, rel=0.05)
    events = [(start, 1) for start in result.start_ns] + [(end, -1) for end in result.end_ns]
    in_flight = list(itertools.accumulate(change for _, change in sorted(events)))
    assert max(in_flight) == 4


def test_the_open_model_sends_at_its_rate_however_slow_the_answers(
    generator: Generator, url: str
) -> None:
    target = generator.connect(url, "/sleep/100", concurrency=64)
    result = generator.open(target, rate=200, seconds=1)
    assert (result.completed, result.missed, result.rate) == (200, 0, 200)
    assert set(np.diff(np.sort(result.intended_ns))) == {5_000_000}
    assert (result.start_ns >= result.intended_ns).all()


def test_no_arrival_is_lost_by_rounding(generator: Generator, url: str) -> None:
    result = generator.open(generator.connect(url, "/hello"), rate=100, seconds=0.29)
    assert result.completed + result.missed == 29


def test_the_generator_is_as_busy_as_until_the_last_answer(generator: Generator, url: str) -> None:
    target = generator.connect(url, "/sleep/100", concurrency=2)
    result = generator.closed(target, seconds=0.02)
    assert result.window_seconds < 0.1 < result.generator_seconds
    assert result.generator_busy == result.generator_cpu_seconds / result.generator_seconds


def test_the_open_model_counts_waiting_in_the_backlog_as_latency(
    generator: Generator, url: str
) -> None:
    target = generator.connect(url, "/sleep/100", concurrency=2)
    result = generator.open(target, rate=40, seconds=1)  # twice what two connections can do
    assert (result.completed, result.missed) == (40, 0)
    assert 10 <= result.max_backlog <= 30
    assert result.percentile(100) > 3 * result.service_ms.max()


def test_the_open_model_says_how_many_arrivals_it_missed(generator: Generator, url: str) -> None:
    target = generator.connect(url, "/sleep/100", concurrency=2)
    result = generator.open(target, rate=100, seconds=1, max_backlog=5)
    assert result.max_backlog == 5
    assert result.missed > 50
    assert result.completed + result.missed == 100


def test_a_window_of_so_many_requests_may_have_a_limit_in_seconds(
    generator: Generator, url: str
) -> None:
    target = generator.connect(url, "/sleep/30")
    assert generator.closed(target, requests=3, seconds=5).completed == 3
    cut = generator.closed(target, requests=1000, seconds=0.1)
    assert 1 <= cut.completed <= 4
    assert cut.window_seconds < 0.2


def test_the_open_model_gives_the_backlog_up_after_one_time_out(
    generator: Generator, url: str
) -> None:
    target = generator.connect(url, "/sleep/200", concurrency=1, timeout_seconds=0.5)
    result = generator.open(target, rate=100, seconds=0.2)
    assert result.completed + result.missed == 20
    assert 2 <= result.completed <= 6


def test_an_error_says_when_its_request_was_due_and_when_it_failed(
    generator: Generator, url: str
) -> None:
    target = generator.connect(url, "/limited")
    result = generator.open(target, rate=200, seconds=0.1)
    assert 0 < result.error_count == result.failed_ns.size == result.failed_due_ns.size
    assert (result.failed_ms > 0).all()
    due = np.sort(np.concatenate([result.intended_ns, result.failed_due_ns]))
    assert np.diff(due) == pytest.approx(5e6, rel=0.01)


def test_targets_alternate_a_b_b_a(generator: Generator, url: str, seen: Seen) -> None:
    a, b = (generator.connect(url, f"/items/{name}", concurrency=2) for name in "ab")
    seen.order.clear()
    first, second = generator.alternate([a, b], seconds=0.2)
    rounds = rounds_of(seen.order, 4)
    assert {"".join(each) for each in rounds} == {"abba", "baab"}
    assert first.completed == second.completed == 2 * len(rounds)
    assert first.window_seconds == second.window_seconds
    starts = np.sort(np.concatenate([first.start_ns, second.start_ns]))
    ends = np.sort(np.concatenate([first.end_ns, second.end_ns]))
    assert (ends[:-1] <= starts[1:]).all()


def test_each_of_several_targets_is_as_often_asked_twice_running(
    generator: Generator, url: str, seen: Seen
) -> None:
    targets = [generator.connect(url, f"/items/{name}", concurrency=1) for name in "abcd"]
    seen.order.clear()
    generator.alternate(targets, seconds=0.5)
    rounds = rounds_of(seen.order, 8)
    assert all(each == each[::-1] and set(each) == set("abcd") for each in rounds)
    turned = [each[3] for each in rounds]
    assert min(turned.count(name) for name in "abcd") > len(rounds) / 10


def rounds_of(order: list[str], length: int) -> list[list[str]]:
    assert len(order) % length == 0
    return [order[start : start + length] for start in range(0, len(order), length)]


def test_a_mix_tells_which_request_each_answer_belongs_to(generator: Generator, url: str) -> None:
    workload = mix(get("/hello"), get("/sleep/30", weight=1))
    result = generator.closed(generator.connect(url, workload, concurrency=4), requests=100)
    slow = result.request_index == 1
    assert 20 < slow.sum() < 80
    assert (result.service_ms[slow] >= 29).all()
    assert np.median(result.service_ms[~slow]) < 29


def test_numbered_requests_carry_the_numbers_that_the_result_holds(
    generator: Generator, url: str, seen: Seen
) -> None:
    workload = get("/items/{n}", n=uniform(1, 9))
    target = generator.connect(url, workload, concurrency=3, number_requests=True)
    seen.numbers.clear()
    result = generator.closed(target, requests=50)
    assert sorted(map(int, seen.numbers)) == sorted(result.request_number) == list(range(50))


def test_one_seed_sends_the_same_values_to_every_server(
    generator: Generator, url: str, seen: Seen
) -> None:
    workload = get("/items/{n}", n=uniform(1, 10**9))
    sent = []
    for seed in (1, 1, 2):
        seen.order.clear()
        generator.closed(generator.connect(url, workload, seed=seed), requests=50)
        sent.append(tuple(seen.order))
    assert sent[0] == sent[1] != sent[2]


def test_prepared_requests_repeat_when_they_run_out(
    generator: Generator, url: str, seen: Seen
) -> None:
    target = generator.connect(url, get("/items/{n}", n=uniform(1, 10**9)), prepared_requests=4)
    seen.order.clear()
    generator.closed(target, requests=12)
    assert len(set(seen.order)) == 4
    assert seen.order == seen.order[:4] * 3


def test_values_are_drawn_without_end_over_windows_and_within_long_ones(
    generator: Generator, url: str, seen: Seen
) -> None:
    """An app that keeps one entry for each value must not seem to stop growing."""
    target = generator.connect(url, get("/items/{n}", n=uniform(1, 10**12)), concurrency=8)
    seen.order.clear()
    results = [generator.closed(target, requests=count) for count in (6000, 50, 6000)]
    assert len(seen.order) == len(set(seen.order)) == 12_050
    assert [result.error_count for result in results] == [0, 0, 0]
    assert all(set(result.request_index) == {0} for result in results)


def test_kinds_are_told_rightly_while_values_are_drawn(generator: Generator, url: str) -> None:
    make = post("/items", json={"name": choice(["a", "b"])}, expect_status=201)
    workload = mix(get("/items/{n}", n=uniform(1, 10**9), weight=2), make)
    target = generator.connect(url, workload, concurrency=4)
    for _ in range(3):
        result = generator.closed(target, requests=300)
        assert {int(k) for k in result.request_index[result.status == 201]} == {1}
        assert {int(k) for k in result.request_index[result.status == 200]} == {0}


def test_a_sequence_never_repeats_not_even_over_windows_and_samples(
    generator: Generator, url: str, seen: Seen
) -> None:
    workload = post("/items", json={"name": sequence()}, expect_status=201)
    target = generator.connect(url, workload, concurrency=4, prepared_requests=10)
    seen.names.clear()
    generator.sample(target, 3)
    results = [generator.closed(target, requests=500) for _ in range(2)]
    assert Counter(seen.names) == Counter(map(str, range(1, 1004)))
    assert [result.error_count for result in results] == [0, 0]
    assert set(results[1].request_index) == {0}


def test_a_sample_holds_the_first_requests_of_the_stream(generator: Generator, url: str) -> None:
    workload = get("/items/{n}", n=uniform(1, 10**9))
    target = generator.connect(url, workload, seed=5)
    generator.closed(target, requests=10)
    paths = [each.request_text.split()[1] for each in generator.sample(target, 4)]
    expected = [each.split()[1].decode() for each in rendered(url, seed=5)]
    assert paths == expected
    assert generator.sample(target, 1)[0].json() == {"item": expected[0].removeprefix("/items/")}


def rendered(url: str, seed: int) -> list[bytes]:
    workload = as_workload(get("/items/{n}", n=uniform(1, 10**9)))
    return workload.render(4, seed, url.removeprefix("http://"))[0]


def test_several_statuses_may_be_right_and_are_counted(generator: Generator, url: str) -> None:
    target = generator.connect(url, get("/limited", expect_status=(200, 429)))
    result = generator.closed(target, requests=20)
    assert (result.error_count, result.status_counts()) == (0, {200: 10, 429: 10})


def test_a_window_without_a_right_answer_has_no_percentile(generator: Generator, url: str) -> None:
    empty = generator.closed(generator.connect(url, "/nowhere"), requests=3)
    assert np.isnan(empty.percentile(50))


def test_many_connections_can_be_open(generator: Generator, url: str) -> None:
    target = generator.connect(url, "/hello", concurrency=500)
    result = generator.closed(target, requests=2000)
    assert (result.completed, result.error_count) == (2000, 0)
    generator.disconnect(target)


def test_connections_can_be_opened_apart(generator: Generator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arrivals = []
        with ThreadPoolExecutor(1) as pool:
            opened = pool.submit(generator.connect, url, "/", concurrency=3, seconds_apart=0.05)
            for _ in range(3):
                listener.accept()[0].close()
                arrivals.append(time.monotonic())
            generator.disconnect(opened.result())
    assert arrivals[2] - arrivals[0] > 0.05  # twice 0.05 s, and the first may be seen late


def test_what_the_warm_up_moved_is_no_part_of_the_window(generator: Generator, url: str) -> None:
    target = generator.connect(url, "/hello", concurrency=2)
    cold = generator.closed(target, requests=20)
    warmed = generator.closed(target, requests=20, warmup_seconds=0.2)
    assert len(warmed.warmup_end_ns) > 20
    # Of each connection one answer of the warm-up may come after the window has opened.
    for moved in ("bytes_received", "bytes_sent"):
        assert getattr(warmed, moved) < 1.2 * getattr(cold, moved)


def test_a_warm_up_lasts_until_all_had_an_answer_or_twice_its_time(
    generator: Generator, url: str
) -> None:
    def first_answers(milliseconds: int) -> int:
        target = generator.connect(url, f"/sleep/{milliseconds}", concurrency=3)
        load = generator.closed(target, seconds=0.1, warmup_seconds=0.25)
        return int((load.warmup_end_ns <= load.window_start_ns).sum())

    assert first_answers(300) == 3
    assert first_answers(600) == 0


def test_a_disconnected_target_connects_again_when_used(generator: Generator, url: str) -> None:
    target = generator.connect(url, "/hello", concurrency=2)
    generator.disconnect(target)
    generator.disconnect(target)
    assert generator.closed(target, requests=5).completed == 5


@pytest.mark.parametrize(
    "address", ["http://192.0.2.1:80", "http://8.8.8.8", "http://[2001:db8::1]:80", "10.0.0.1:80"]
)
def test_other_machines_are_refused_with_the_reason(generator: Generator, address: str) -> None:
    with pytest.raises(NotLoopback, match="this machine only"):
        generator.connect(address, "/")


@pytest.mark.parametrize("addresses", [("127.0.0.1", "192.0.2.1"), ("192.0.2.1", "127.0.0.1")])
def test_a_name_of_this_machine_and_another_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80)) for each in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NotLoopback):
        loopback_address("http://both.example")


@pytest.mark.parametrize(
    "address",
    ["https://127.0.0.1:1", "http://127.0.0.1:1/path", "nothing", "http://127.0.0.1:x", ""],
)
def test_what_is_no_address_is_refused(generator: Generator, address: str) -> None:
    with pytest.raises(CourseError):
        generator.connect(address, "/")


def test_localhost_is_this_machine(generator: Generator, url: str) -> None:
    target = generator.connect(url.replace("127.0.0.1", "localhost"), "/hello")
    assert generator.closed(target, requests=1).completed == 1


def test_a_server_that_is_not_there_is_named(generator: Generator) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(NobodyListens, match=f"127.0.0.1:{port}"):
        generator.connect(f"http://127.0.0.1:{port}", "/")


@pytest.mark.skipif(not platforms.is_linux(), reason="another process's limits")
def test_too_few_descriptors_are_told_and_none_is_lost(url: str) -> None:
    with Generator() as few:
        few.sample(few.connect(url, "/hello"))
        process = psutil.Process(few.pid)
        held = process.num_fds()
        limit = (held + 20, process.rlimit(psutil.RLIMIT_NOFILE)[1])
        process.rlimit(psutil.RLIMIT_NOFILE, limit)
        with pytest.raises(OutOfBounds, match="Ask for fewer connections"):
            few.connect(url, "/hello", concurrency=50)
        assert process.num_fds() == held
        assert few.closed(few.connect(url, "/hello", concurrency=4), requests=4).completed == 4


def test_a_sample_that_nobody_takes_leaves_no_connection(generator: Generator) -> None:
    with ThreadServer(FastAPI()) as server:
        target = generator.connect(server.url, "/")
    process = psutil.Process(generator.pid)
    held = process.num_fds()
    with pytest.raises(NobodyListens):
        generator.sample(target)
    assert process.num_fds() == held


def test_every_load_has_bounds(generator: Generator, url: str) -> None:
    target = generator.connect(url, "/hello")
    too_much = [
        lambda: generator.connect(url, "/hello", concurrency=1025),
        lambda: generator.connect(url, "/hello", concurrency=0),
        lambda: generator.connect(url, "/hello", prepared_requests=0),
        lambda: generator.connect(url, "/hello", timeout_seconds=0),
        lambda: generator.closed(target),
        lambda: generator.closed(target, seconds=61, requests=1),
        lambda: generator.closed(target, seconds=61),
        lambda: generator.closed(target, seconds=float("nan")),
        lambda: generator.closed(target, requests=0),
        lambda: generator.closed(target, seconds=1, warmup_seconds=-1),
        lambda: generator.open(target, rate=20_001, seconds=1),
        lambda: generator.open(target, rate=0, seconds=1),
        lambda: generator.open(target, rate=10, seconds=1, max_backlog=-1),
        lambda: generator.alternate([], seconds=1),
        lambda: generator.sample(target, 0),
    ]
    for load in too_much:
        with pytest.raises(OutOfBounds) as refused:
            load()
        assert str(refused.value).endswith(".")
    assert generator.closed(target, requests=1).completed == 1


def test_a_request_that_cannot_be_rendered_is_refused_when_connecting(
    generator: Generator, url: str
) -> None:
    with pytest.raises(BadWorkload, match="one line"):
        generator.connect(url, get("/", headers={"x": choice(["a\nb"])}))
