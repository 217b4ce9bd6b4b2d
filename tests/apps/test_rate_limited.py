from collections.abc import Iterator

import pytest
import redis
from fastapi import FastAPI
from fastapi.testclient import TestClient

from course_app.apps.rate_limited import create_app, raising
from course_app.services import Services

LIMIT, WINDOW_SECONDS = 3, 30.0


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with redis.Redis.from_url(services.valkey_url) as valkey:
        valkey.delete("rate:testclient")
        with TestClient(create_app(services.valkey_url, LIMIT, WINDOW_SECONDS)) as client:
            yield client
        valkey.delete("rate:testclient")


@pytest.mark.parametrize("door", ["/memory", "/valkey"])
def test_as_many_pass_as_may_and_the_rest_is_told_when(client: TestClient, door: str) -> None:
    answers = [client.get(door) for _ in range(LIMIT + 2)]
    assert [answer.status_code for answer in answers] == [200] * LIMIT + [429] * 2
    assert answers[-1].headers["Retry-After"] == str(int(WINDOW_SECONDS))


def test_what_is_counted_in_valkey_expires(client: TestClient, services: Services) -> None:
    client.get("/valkey")
    with redis.Redis.from_url(services.valkey_url) as valkey:
        assert 0 < valkey.pttl("rate:testclient") <= 1000 * WINDOW_SECONDS


def test_what_a_middleware_raises_is_a_500() -> None:
    app: FastAPI = raising()
    assert TestClient(app, raise_server_exceptions=False).get("/raises").status_code == 500
