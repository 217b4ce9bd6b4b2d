"""The tap in front of real servers: the round trips that drivers make."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest
import redis.asyncio

from course_app.network import Wire, WireCounts
from course_app.services import Services

REQUESTS = 10
QUERY = "SELECT name FROM users WHERE id = $1"


@pytest.fixture
def wire(services: Services) -> Iterator[Wire]:
    """A wire to the lab's servers, without delay."""
    with Wire({"postgres": services.postgres_dsn, "valkey": services.valkey_url}) as open_wire:
        yield open_wire


async def connect_per_request(dsn: str) -> None:
    """What one request does that opens a connection for itself."""
    connection = await asyncpg.connect(dsn)
    await connection.fetchval(QUERY, 1)
    await connection.close()


def test_connecting_for_each_request_costs_seven_round_trips(wire: Wire) -> None:
    async def requests() -> None:
        for _ in range(REQUESTS):
            await connect_per_request(wire.url("postgres"))

    asyncio.run(requests())
    counts = wire.counts("postgres").per(REQUESTS)
    # SSL refused, start, SCRAM twice; prepare, execute; farewell.
    assert (counts.round_trips, counts.connections) == (7, 1)


def test_seven_round_trips_are_four_to_connect_two_to_ask_and_one_to_leave(wire: Wire) -> None:
    async def steps() -> list[float]:
        connection = await asyncpg.connect(wire.url("postgres"))
        trips = [wire.counts("postgres").round_trips]
        for _ in range(2):
            await connection.fetchval(QUERY, 1)
            trips.append(wire.counts("postgres").round_trips)
        await connection.close()
        return [*trips, wire.counts("postgres").round_trips]

    assert asyncio.run(steps()) == [4, 4 + 2, 4 + 2 + 1, 4 + 2 + 1 + 1]


def with_pool(wire: Wire, request: Callable[[asyncpg.Pool], Awaitable[object]]) -> WireCounts:
    """What requests cost that share a pool whose connections know the query."""

    async def requests() -> WireCounts:
        dsn = wire.url("postgres")
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            await pool.fetchval(QUERY, 1)
            wire.reset()
            for _ in range(REQUESTS):
                await request(pool)
            return wire.counts("postgres").per(REQUESTS)

    return asyncio.run(requests())


def test_a_pool_costs_two_round_trips_and_no_connection(wire: Wire) -> None:
    counts = with_pool(wire, lambda pool: pool.fetchval(QUERY, 1))
    # The query, and the reset when the connection goes back.
    assert (counts.round_trips, counts.connections) == (2, 0)


def test_queries_one_by_one_are_a_round_trip_each(wire: Wire) -> None:
    async def ask_fifty_times(pool: asyncpg.Pool) -> None:
        async with pool.acquire() as connection:
            for number in range(50):
                await connection.fetchval(QUERY, number)

    assert with_pool(wire, ask_fifty_times).round_trips == 50 + 1


def test_commands_in_a_pipeline_are_one_round_trip(wire: Wire) -> None:
    async def commands() -> WireCounts:
        client = redis.asyncio.from_url(wire.url("valkey"))
        await client.ping()
        wire.reset()
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(20):
                pipeline.get(f"key {number}")
            await pipeline.execute()
        counts = wire.counts("valkey")
        await client.aclose()
        return counts

    assert asyncio.run(commands()).round_trips == 1


def test_sixty_four_connections_at_once_are_all_counted(wire: Wire) -> None:
    async def requests() -> None:
        tasks = (connect_per_request(wire.url("postgres")) for _ in range(64))
        await asyncio.gather(*tasks)

    asyncio.run(requests())
    assert wire.counts("postgres") == WireCounts(
        connections=64,
        round_trips=64 * 7,
        bytes_up=wire.counts("postgres").bytes_up,
        bytes_down=wire.counts("postgres").bytes_down,
    )


def test_a_delay_is_paid_once_for_each_round_trip(wire: Wire) -> None:
    delay_ms = 20.0

    async def timed() -> tuple[float, float]:
        began = time.perf_counter()
        connection = await asyncpg.connect(wire.url("postgres"))
        connected = time.perf_counter()
        for _ in range(5):
            await connection.fetchval(QUERY, 1)
        asked = time.perf_counter()
        await connection.close()
        return (connected - began) * 1000, (asked - connected) * 1000

    wire.delay_ms = delay_ms
    connecting_ms, asking_ms = asyncio.run(timed())
    # Four round trips and the handshake; prepare and execute once, then warm.
    assert 0.9 < connecting_ms / (5 * delay_ms) < 2
    assert 0.9 < asking_ms / (6 * delay_ms) < 2


def test_large_results_pass_unharmed(wire: Wire, services: Services) -> None:
    query = "SELECT body FROM posts ORDER BY id LIMIT 20000"

    async def fetch(dsn: str) -> tuple[list[str], float]:
        connection = await asyncpg.connect(dsn)
        await connection.fetch(query)
        began = time.perf_counter()
        rows = await connection.fetch(query)
        seconds = time.perf_counter() - began
        await connection.close()
        return [row["body"] for row in rows], seconds

    direct, direct_seconds = asyncio.run(fetch(services.postgres_dsn))
    tapped, tapped_seconds = asyncio.run(fetch(wire.url("postgres")))
    assert tapped == direct
    assert wire.counts("postgres").bytes_down > sum(map(len, direct))
    assert tapped_seconds < 10 * direct_seconds
