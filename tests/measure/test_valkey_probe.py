from collections.abc import Callable, Iterator

import pytest
import redis

from course_app.measure.probes.valkey import ValkeyProbe
from course_app.services import Services

SCRIPT = "redis.call('SET', KEYS[1], 1) return redis.call('GET', KEYS[1])"


@pytest.fixture
def client(services: Services) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(services.valkey_url) as client:
        client.ping()
        yield client


@pytest.fixture
def counted(services: Services) -> Iterator[Callable[[Callable[[], object]], dict[str, float]]]:
    probe = ValkeyProbe(services.valkey_url)

    def count(work: Callable[[], object]) -> dict[str, float]:
        probe.start()
        work()
        return {reading.name: reading.value for reading in probe.stop()}

    yield count
    probe.close()


def test_one_command_is_one_round_trip(client: redis.Redis, counted) -> None:
    seen = counted(lambda: [client.get("nobody") for _ in range(10)])
    assert seen["Valkey commands"] == seen["Valkey round trips"] == seen["cache misses"] == 10
    assert seen["Valkey connections opened"] == 0


def test_a_script_is_one_round_trip_of_several_commands(client: redis.Redis, counted) -> None:
    seen = counted(lambda: client.eval(SCRIPT, 1, "key"))
    assert seen["Valkey round trips"] == 1
    assert seen["Valkey commands"] == 3


def test_a_pipeline_is_one_round_trip(client: redis.Redis, counted) -> None:
    with client.pipeline() as pipeline:
        seen = counted(lambda: pipeline.set("key", 1).get("key").execute())
    assert seen["Valkey round trips"] == 1


def test_a_client_of_its_own_is_a_connection(services: Services, counted) -> None:
    seen = counted(lambda: redis.Redis.from_url(services.valkey_url).ping())
    assert seen["Valkey connections opened"] == 1
    assert seen["Valkey round trips"] >= 2
