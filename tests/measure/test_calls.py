"""Calls of client libraries are compared in turns, with what they caused."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import psycopg
import pytest
import uvloop

import course_app.lab  # noqa: F401  as in a notebook: asyncio.run is patched
from course_app.measure import calls
from course_app.measure.calls import Client, compare_calls
from course_app.measure.probes.postgres import PostgresProbe
from course_app.plots.calls import plot_calls
from course_app.services import Services

closed: list[str] = []


def sleeper(name: str, seconds: float) -> Client:
    @asynccontextmanager
    async def client() -> AsyncIterator[Callable[[], Awaitable[object]]]:
        async def call() -> None:
            time.sleep(seconds)  # a blocking client is as welcome as any

        yield call
        closed.append(name)

    return client


def test_a_call_that_takes_four_times_as_long_is_found_to() -> None:
    clients = {"quick": sleeper("quick", 0.001), "slow": sleeper("slow", 0.004)}
    result = compare_calls(clients, workload="sleeping")
    assert result.cost("slow").above(2) is True
    assert result.cost("slow").below(8) is True
    assert "slow" in str(result)
    assert "slow" in plot_calls(result, predicted=2).title


def test_clients_are_closed_afterwards() -> None:
    closed.clear()
    compare_calls({"a": sleeper("a", 0.001), "b": sleeper("b", 0.001)}, workload="sleeping")
    assert sorted(closed) == ["a", "b"]


def test_statements_and_rows_are_counted_per_call(services: Services) -> None:
    @asynccontextmanager
    async def client() -> AsyncIterator[Callable[[], Awaitable[object]]]:
        with psycopg.connect(services.postgres_dsn, autocommit=True) as connection:

            async def call() -> None:
                connection.execute("SELECT id FROM users LIMIT 3")
                connection.execute("SELECT 1")

            yield call

    probe = PostgresProbe(services.postgres_dsn)
    result = compare_calls({"two statements": client}, workload="rows", probe=probe)
    probe.close()
    assert result.baseline.counts["SQL statements per call"] == 2
    assert result.baseline.counts["rows per call"] == 4


def test_what_a_call_raises_reaches_the_caller() -> None:
    @asynccontextmanager
    async def client() -> AsyncIterator[Callable[[], Awaitable[object]]]:
        async def call() -> None:
            await asyncio.sleep(0)
            raise LookupError("no such user")

        yield call

    with pytest.raises(LookupError, match="no such user"):
        compare_calls({"broken": client}, workload="failing")


def test_an_interrupt_ends_the_calls_and_closes_the_clients() -> None:
    closed.clear()
    main = threading.get_ident()

    @asynccontextmanager
    async def client() -> AsyncIterator[Callable[[], Awaitable[object]]]:
        async def call() -> None:
            signal.pthread_kill(main, signal.SIGINT)
            await asyncio.sleep(60)

        try:
            yield call
        finally:
            closed.append("interrupted")

    with pytest.raises(KeyboardInterrupt):
        compare_calls({"endless": client}, workload="waiting")
    assert closed == ["interrupted"]


def test_an_interrupt_before_there_is_anything_to_cancel_opens_no_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main, opened = threading.get_ident(), []
    looked, new_loop, cancel = threading.Event(), uvloop.new_event_loop, calls._cancel

    def late_loop() -> asyncio.AbstractEventLoop:
        signal.pthread_kill(main, signal.SIGINT)
        looked.wait(5)  # the interrupt finds no task yet
        return new_loop()

    def cancel_nothing(tasks: Sequence[asyncio.Task[calls.CallComparison]]) -> None:
        assert not tasks
        cancel(tasks)
        looked.set()

    @asynccontextmanager
    async def client() -> AsyncIterator[Callable[[], Awaitable[object]]]:
        opened.append("client")
        yield lambda: asyncio.sleep(60)

    monkeypatch.setattr(uvloop, "new_event_loop", late_loop)
    monkeypatch.setattr(calls, "_cancel", cancel_nothing)
    with pytest.raises(KeyboardInterrupt):
        compare_calls({"endless": client}, workload="waiting")
    assert not opened
