"""Systems without epoll get the same windows from another poller."""

import os
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from course_app.load import as_workload
from course_app.load.description import describe_workload
from course_app.load.engine import exchange
from course_app.load.engine.process import Commands
from course_app.serving import ThreadServer
from course_app.system.poller import SelectorPoller


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    monkeypatch.setattr(exchange, "new_poller", SelectorPoller)
    owner, owned = os.pipe()
    yield Commands(owner)
    os.close(owner)
    os.close(owned)


def test_every_window_runs_without_epoll(commands: Commands) -> None:
    app = FastAPI()

    @app.get("/")
    async def hello() -> None:
        return None

    with ThreadServer(app) as server:
        for number in (1, 2):
            commands.connect(
                target=number,
                address=["127.0.0.1", server.port],
                host="127.0.0.1",
                workload=describe_workload(as_workload("/")),
                seed=0,
                concurrency=3,
                prepared_requests=10,
                number_requests=False,
                timeout_seconds=5,
                seconds_apart=0.0,
                resend=False,
                first_number=0,
            )
        _, closed = commands.closed(target=1, seconds=None, requests=50, warmup_seconds=0)
        _, opened = commands.open(target=1, rate=100, seconds=0.3, max_backlog=100)
        _, turns = commands.alternate(targets=[1, 2], seconds=0.1)
        sampled, bodies = commands.sample(target=2, count=2)
        commands.disconnect(target=1)
        commands.disconnect(target=2)
    assert len(closed["0 end_ns"]) == 50
    assert len(opened["0 end_ns"]) >= 25
    assert all(len(turns[f"{target} end_ns"]) > 1 for target in (0, 1))
    assert [each["status"] for each in sampled["responses"]] == [200, 200]
    assert list(bodies.values()) == [b"null", b"null"]
