"""Which orders are confirmed when their server is told to go."""

import httpx
import pytest
import redis

from course_app.services import Services
from course_app.serving import ProcessServer

ORDERS = 7  # more than the app has threads


@pytest.mark.parametrize(
    ("door", "confirmed"),
    [
        ("orders", ORDERS),
        pytest.param("threads", ORDERS, marks=pytest.mark.slow),
        pytest.param("loose", 0, marks=pytest.mark.slow),
    ],
)
def test_a_sigterm_waits_for_the_tasks_of_responses_and_for_no_others(
    door: str, confirmed: int, services: Services
) -> None:
    valkey_url = services.new_valkey_database()
    app, env = "course_app.apps.orders:by_the_server", {"VALKEY_URL": valkey_url}
    with ProcessServer(app, env=env) as server, httpx.Client(base_url=server.url) as client:
        answers = [client.post(f"/{door}/{number}").status_code for number in range(ORDERS)]
        server.stop()
    assert answers == [202] * ORDERS
    with redis.Redis.from_url(valkey_url) as valkey:
        assert valkey.hlen("confirmations") == confirmed
