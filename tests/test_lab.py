"""The lab end to end: real servers, real load, and what a lesson gets to see."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import redis
from fastapi import FastAPI, HTTPException
from redis.backoff import NoBackoff
from redis.retry import Retry

from course_app.errors import CourseError
from course_app.lab import Lab, Retries, get, uniform
from course_app.load import Generator, LoadResult, Target
from course_app.measure.statistics import Verdict


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_PACE", "quick")
        yield


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def waiting(milliseconds: float, answer: str = "done") -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def root() -> dict[str, str]:
        await asyncio.sleep(milliseconds / 1000)
        return {"answer": answer}

    return app


def connecting(lab: Lab) -> FastAPI:
    app = FastAPI()

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> dict[str, object]:
        connection = await asyncpg.connect(lab.postgres_dsn)
        try:
            row = await connection.fetchrow("SELECT id, name FROM users WHERE id = $1", user_id)
        finally:
            await connection.close()
        if row is None:
            raise HTTPException(404)
        return dict(row)

    return app


def test_a_measurement_counts_statements_and_sessions_exactly(lab: Lab) -> None:
    one_user = get("/users/{user_id}", user_id=uniform(1, lab.users))
    measured = lab.measure(connecting(lab), one_user, concurrency=4, seconds=0.2)
    assert measured.counts["SQL statements"] == 1
    assert measured.counts["PostgreSQL sessions"] == 1
    assert measured.counts["rows"] == 1
    assert not measured.wrong


def test_three_times_the_waiting_is_found_to_be_faster_and_never_the_contrary(lab: Lab) -> None:
    apps = {"30 ms": waiting(30), "10 ms": waiting(10)}
    comparison = lab.compare(apps, "/", concurrency=4, at_least=3**0.5)
    assert comparison.verdict(at_least=3**0.5) is not Verdict.NOT_FASTER
    assert 1.5 < comparison.speedup().estimate < 6


def test_the_same_app_twice_is_not_faster(lab: Lab) -> None:
    app = waiting(10)
    comparison = lab.compare({"one": app, "same": app}, "/", concurrency=4)
    assert comparison.verdict() is not Verdict.FASTER


def test_different_answers_give_no_speedup_but_an_example(lab: Lab) -> None:
    apps = {"right": waiting(10, "right"), "wrong": waiting(0, "wrong")}
    comparison = lab.compare(apps, "/", concurrency=2)
    assert comparison.wrong[0].variant == "wrong"
    assert "No comparison" in comparison.message
    assert '"wrong"' in str(comparison)
    assert comparison.verdict() is Verdict.CANNOT_TELL
    with pytest.raises(ValueError, match="answers were wrong"):
        comparison.speedup()


def test_a_wrong_status_gives_no_speedup_either(lab: Lab) -> None:
    failing = FastAPI()

    @failing.get("/")
    async def root() -> None:
        raise HTTPException(503)

    comparison = lab.compare(
        {"right": waiting(5), "failing": failing}, "/", concurrency=2, same_answers=False
    )
    assert comparison.wrong
    assert comparison.wrong[0].variant == "failing"
    assert "503" in comparison.wrong[0].got


def test_cpu_is_not_compared_by_windows_of_load(lab: Lab) -> None:
    with pytest.raises(ValueError, match="compare_requests"):
        lab.compare({"a": waiting(1), "b": waiting(1)}, "/", metric="cpu")


def test_a_metric_that_there_is_not_is_refused_before_anything_is_measured() -> None:
    lab = Lab.__new__(Lab)  # none of its servers is needed
    apps = {"a": waiting(1), "b": waiting(1)}
    with pytest.raises(ValueError, match="choose one of p50, throughput"):
        lab.compare(apps, "/", metric="p99")
    with pytest.raises(ValueError, match="choose one of p50, throughput, cpu"):
        lab.compare_requests(apps, "/", metric="p99")
    with pytest.raises(ValueError, match="choose one of p50, throughput, cpu"):
        lab.compare_calls({}, "nothing", metric="p99")


def test_a_running_server_is_not_compared_request_by_request() -> None:
    lab = Lab.__new__(Lab)
    with (
        lab.serve(waiting(1)) as server,
        pytest.raises(ValueError, match=r"'served' is a server .* hand over the app itself"),
    ):
        lab.compare_requests({"app": waiting(1), "served": server}, "/")


def test_cpu_work_is_compared_request_by_request(lab: Lab) -> None:
    def working(rounds: int) -> FastAPI:
        app = FastAPI()

        @app.get("/")
        async def root() -> int:
            return sum(range(rounds)) * 0

        return app

    apps = {"thrice": working(150_000), "once": working(50_000)}
    comparison = lab.compare_requests(apps, "/")
    assert comparison.protocol == "requests"
    assert 2 < comparison.speedup().estimate < 4.5


@pytest.mark.slow
def test_what_requests_of_two_kinds_cost_is_the_mean_of_both(lab: Lab) -> None:
    """A median would know of one kind only, and jump where the other becomes the more frequent."""

    def working(every: int) -> FastAPI:
        app = FastAPI()

        @app.get("/{number}")
        async def root(number: int) -> int:
            return 0 if number % every else sum(range(100_000)) * 0

        return app

    apps = {"each": working(1), "one in three": working(3)}
    comparison = lab.compare_requests(apps, get("/{number}", number=uniform(1, 3000)))
    # A request that does not work costs about a tenth of one that does.
    assert 1.9 < comparison.speedup().estimate < 3.3


@pytest.mark.slow
def test_a_crowds_window_begins_when_all_have_had_an_answer(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, clients, loads = FastAPI(), 100, []

    @app.get("/")
    async def root() -> str:
        end = time.thread_time() + 0.001
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0.05)  # meanwhile it reads the others, so nobody is answered
        return "done"

    closed = Generator.closed

    def noted(self: Generator, target: Target, **options: Any) -> LoadResult:
        load = closed(self, target, **options)
        loads.append((load, options))
        return load

    monkeypatch.setattr(Generator, "closed", noted)
    lab.sweep({"app": app}, "/", values=[clients], windows=1)
    lab.compare({"a": app, "b": app}, "/", concurrency=clients, metric="throughput", most_rounds=1)
    lab.measure(app, "/", concurrency=clients, seconds=0.2)
    windows = [(load, options) for load, options in loads if "seconds" in options]
    assert len(windows) == 1 + 2 + 1
    for load, options in windows:
        assert options["warmup_seconds"] >= clients * 0.001
        first = load.warmup_end_ns <= load.window_start_ns
        assert first.sum() >= 0.7 * clients


def test_a_window_holds_answers_that_take_longer_than_it(lab: Lab) -> None:
    measured = lab.measure(waiting(100), "/", concurrency=1, seconds=0.02)
    assert 100 < measured.p50_ms < 1000
    assert "half of them within" in measured.message


def test_a_sweep_of_concurrency_shows_where_waiting_stops_to_scale(lab: Lab) -> None:
    swept = lab.sweep({"waiting": waiting(20)}, "/", values=[1, 8], windows=1)
    assert 3 < swept.growth("waiting", 1, 8).estimate < 16


def test_counts_of_the_event_loop_tell_blocking_from_waiting(lab: Lab) -> None:
    import time

    blocking = FastAPI()

    @blocking.get("/")
    async def root() -> None:
        time.sleep(0.05)

    blocked = lab.measure(blocking, "/", concurrency=2, seconds=0.2)
    waited = lab.measure(waiting(50), "/", concurrency=2, seconds=0.2)
    assert blocked.counts["max loop lag"] > 40
    assert blocked.counts["loop unresponsive"] > waited.counts["loop unresponsive"]
    assert waited.counts["max requests in flight"] == 2


def test_asyncio_run_works_while_a_loop_runs_as_in_a_notebook() -> None:
    async def cell() -> int:
        return asyncio.run(asyncio.sleep(0, 41)) + 1

    assert asyncio.run(cell()) == 42


def test_a_verdict_shows_the_claim_in_our_words(lab: Lab) -> None:
    verdict = lab.verdict(10, "holds", "Because.", {"measured": True})
    assert verdict.text
    assert verdict.stands


def test_a_cell_whose_kernel_runs_a_loop_can_measure(lab: Lab) -> None:
    async def cell() -> float:
        return lab.measure(waiting(1), "/", concurrency=2, seconds=0.1).throughput

    assert asyncio.run(cell()) > 0


def test_the_wire_tap_counts_a_piece_of_code_on_a_connection_opened_before(lab: Lab) -> None:
    with lab.wire_tap() as tap:
        connection = asyncio.run(asyncpg.connect(lab.postgres_dsn))
        wire = tap.during(lambda: asyncio.run(connection.execute("SELECT 1")))
        asyncio.run(connection.close())
    assert (wire.connections, wire.round_trips) == (0, 1)


def test_valkey_goes_away_in_the_middle_and_comes_back_as_it_was(lab: Lab) -> None:
    direct, never = lab.valkey_url, Retry(NoBackoff(), 0)
    with (
        lab.outages() as network,
        redis.Redis.from_url(lab.valkey_url, retry=never) as client,
    ):
        client.set("kept", "as it was", ex=60)
        network.cut("valkey")
        with pytest.raises(redis.ConnectionError):
            client.get("kept")
        network.mend("valkey")
        assert client.get("kept") == b"as it was"
    assert lab.valkey_url == direct


def test_each_app_of_a_comparison_may_be_asked_in_its_own_words(lab: Lab) -> None:
    old, new = FastAPI(), FastAPI()
    for app, path in ((old, "/old"), (new, "/new")):
        app.get(path)(lambda: {"answer": 1})
    windows: list[None] = []
    comparison = lab.compare(
        {"old": old, "new": new},
        {"old": "/old", "new": "/new"},
        concurrency=2,
        most_rounds=6,
        before_window=lambda: windows.append(None),
    )
    assert not comparison.wrong
    assert len(windows) == 2 * 6


def test_windows_of_a_number_of_requests_send_the_same_ones_each_time(lab: Lab) -> None:
    asked: dict[str, list[int]] = {"a": [], "b": []}
    windows: list[None] = []

    def app_that_notes(name: str) -> FastAPI:
        app = FastAPI()

        @app.get("/{number}")
        async def note(number: int) -> dict[str, int]:
            if windows:
                asked[name].append(number)
            return {"number": number}

        return app

    lab.compare(
        {name: app_that_notes(name) for name in asked},
        get("/{number}", number=uniform(1, 1_000_000)),
        concurrency=4,
        most_rounds=6,
        before_window=lambda: windows.append(None),
        window_requests=30,
    )
    for numbers in asked.values():
        assert len(numbers) == (2 + 6) * 30  # a warm-up, what is counted, six rounds
        assert len(set(numbers)) == 30
    assert set(asked["a"]) == set(asked["b"])


def test_a_replay_keeps_whole_answers_in_order_and_counts_what_they_caused(lab: Lab) -> None:
    by_number = get("/users/{user_id}", user_id=uniform(1, lab.users))
    once, again = (lab.replay(connecting(lab), by_number, requests=20) for _ in range(2))
    lines, same = ([a.request_text.splitlines()[0] for a in r.answers] for r in (once, again))
    assert lines == same
    assert len(set(lines)) > 10
    assert {answer.status for answer in once.answers} == {200}
    assert once.counts["SQL statements"] == 1


# The last ones: a lab that is opened ends the one that was open.


def test_worker_processes_are_measured_and_end_with_the_lab() -> None:
    with Lab() as own:
        server = own.serve_processes("course_app.apps.hello:app", program="gunicorn", workers=2)
        processes = server.processes()
        assert own.measure(server, "/hello", concurrency=4, seconds=0.2).throughput > 0
    assert len(processes) >= 3
    assert not any(process.is_running() for process in processes)


def test_starting_a_second_lab_ends_the_first() -> None:
    first = Lab()
    second = Lab()
    try:
        with pytest.raises((CourseError, OSError, asyncpg.PostgresError)):
            asyncio.run(asyncpg.connect(first.postgres_dsn))
    finally:
        second.close()


def test_of_an_app_that_is_far_too_slow_nobody_is_served_and_it_ends_soon(lab: Lab) -> None:
    app = FastAPI()

    @app.get("/")
    async def slow() -> None:
        time.sleep(0.05)

    began = time.monotonic()
    result = lab.visitors(app, "/", phases=[(1, 200)], retries=Retries(times=3, pause_seconds=0.01))
    visits = result.visits
    assert visits.visitor.size > 2 * visits.visitors
    assert result.served_in_time.sum() < 0.3 * visits.visitors
    assert result.entered is not None
    # The backlog would take ten seconds and more.
    assert time.monotonic() - began < 8
