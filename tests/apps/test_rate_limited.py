import time
from collections.abc import Iterator

import pytest
import redis
from fastapi import FastAPI
from fastapi.testclient import TestClient

from course_app.apps.rate_limited import create_app, raising
from course_app.services import Services

LIMIT, WINDOW_SECONDS = 3, 30.0
KEYS = {
    "/valkey": "rate:testclient",
    "/fixed": "fixed:testclient",
    "/bucket": "bucket:testclient",
}


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with redis.Redis.from_url(services.valkey_url) as valkey:
        valkey.delete(*KEYS.values())
        with TestClient(create_app(services.valkey_url, LIMIT, WINDOW_SECONDS)) as client:
            yield client
        valkey.delete(*KEYS.values())


@pytest.mark.parametrize("door", ["/memory", "/valkey", "/bucket"])
def test_as_many_pass_as_may_and_the_rest_is_told_when(client: TestClient, door: str) -> None:
    answers = [client.get(door) for _ in range(LIMIT + 2)]
    assert [answer.status_code for answer in answers] == [200] * LIMIT + [429] * 2
    one_token = WINDOW_SECONDS / LIMIT
    wanted = one_token if door == "/bucket" else WINDOW_SECONDS
    assert answers[-1].headers["Retry-After"] == str(int(wanted))


def test_a_fixed_window_passes_no_more_than_the_limit_from_border_to_border(
    services: Services,
) -> None:
    long = 1e6  # seconds: no border comes along
    with redis.Redis.from_url(services.valkey_url) as valkey:
        valkey.delete(KEYS["/fixed"])
        with TestClient(create_app(services.valkey_url, LIMIT, long)) as client:
            answers = [client.get("/fixed").status_code for _ in range(LIMIT + 2)]
        left_seconds = valkey.ttl(KEYS["/fixed"])
        valkey.delete(KEYS["/fixed"])
    assert answers == [200] * LIMIT + [429] * 2
    assert left_seconds == pytest.approx(long - time.time() % long, abs=5)


def test_a_bucket_gives_back_one_token_after_another(services: Services) -> None:
    tokens, token_seconds = 2, 0.25
    with redis.Redis.from_url(services.valkey_url) as valkey:
        valkey.delete(KEYS["/bucket"])
        create = create_app(services.valkey_url, 4, 4 * token_seconds, burst=tokens)
        with TestClient(create) as client:
            at_once = [client.get("/bucket").status_code for _ in range(tokens)]
            time.sleep(1.2 * token_seconds)
            later = client.get("/bucket").status_code
        valkey.delete(KEYS["/bucket"])
    assert (at_once, later) == ([200] * tokens, 200)


@pytest.mark.parametrize("door", ["/valkey", "/fixed", "/bucket"])
def test_what_is_counted_in_valkey_expires(
    door: str, client: TestClient, services: Services
) -> None:
    client.get(door)
    with redis.Redis.from_url(services.valkey_url) as valkey:
        assert 0 < valkey.pttl(KEYS[door]) <= 1000 * WINDOW_SECONDS


def test_what_a_middleware_raises_is_a_500() -> None:
    app: FastAPI = raising()
    assert TestClient(app, raise_server_exceptions=False).get("/raises").status_code == 500
