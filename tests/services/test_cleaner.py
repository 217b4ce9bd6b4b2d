"""The cleaner: what goes wrong while it waits or cleans does not reach the lab, nor the rest."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from course_app.processes import OwnedProcess
from course_app.services import cleaner
from course_app.services.binaries import find_binaries
from course_app.services.launch import program
from course_app.services.server import candidate_ports
from course_app.system.waiting import wait_until

LIVENESS_SECONDS = 20.0
#: Nobody listens there.
UNREACHABLE = "redis://127.0.0.1:1/1"
HALF_A_LINE = '{"valkey": "redis://127.0'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database number on a Valkey of somebody else."""
    port = next(candidate_ports())
    command = [str(find_binaries().valkey), "--port", str(port)]
    with OwnedProcess([*command, "--bind", "127.0.0.1", "--save", ""]) as server:
        assert wait_until(lambda: "Ready to accept" in server.output_tail(), LIVENESS_SECONDS)
        yield f"redis://127.0.0.1:{port}/3"


@pytest.fixture
def number(url: str) -> Iterator[redis.Redis]:
    """The same, with something in it."""
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
        yield client
        client.flushdb()


@pytest.fixture
def ledger(tmp_path: Path, url: str) -> Path:
    """Names a number that cannot be reached before the one that can, and was broken off."""
    path = tmp_path / cleaner.LEDGER
    dead = {"database": "course_test", "server": "postgresql://127.0.0.1:1/nothing"}
    entries = [{"valkey": UNREACHABLE}, dead, {"valkey": url}]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in entries) + HALF_A_LINE)
    return path


def marks(number: redis.Redis) -> list[dict[str, str]]:
    return [each for each in number.client_list() if each["name"] == cleaner.CLIENT_NAME]


def test_the_cleaner_cleans_at_the_lab_s_end_only(ledger: Path, number: redis.Redis) -> None:
    with OwnedProcess(program(cleaner.__name__, ledger.parent)) as process:
        assert wait_until(lambda: bool(marks(number)), LIVENESS_SECONDS)
        assert process.running
        assert number.get("key") == b"value"
        process.stop(LIVENESS_SECONDS)
    assert number.dbsize() == 0


def test_an_entry_that_cannot_be_cleaned_does_not_keep_the_others(
    ledger: Path, number: redis.Redis
) -> None:
    cleaner.clean(ledger)
    assert number.dbsize() == 0


def test_a_number_whose_connection_the_server_closed_is_marked_again(
    ledger: Path, number: redis.Redis, url: str
) -> None:
    held: dict[str, redis.Redis | None] = {}
    cleaner.take(ledger, held)
    assert list(held) == [url]
    number.client_kill_filter(_id=marks(number)[0]["id"])
    assert not marks(number)
    cleaner.ping(held)
    cleaner.take(ledger, held)
    assert [mark["db"] for mark in marks(number)] == ["3"]
    client = held[url]
    assert client is not None
    client.close()


def test_of_labs_that_connect_at_the_same_moment_one_has_the_number(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected, go_on = threading.Event(), threading.Event()
    introduce = redis.Connection.on_connect_check_health

    def slowly(connection: redis.Connection, check_health: bool = True) -> None:
        if threading.current_thread() is not threading.main_thread():
            connected.set()  # the server knows it, and has given it the lower id; no mark yet
            assert go_on.wait(LIVENESS_SECONDS)
        introduce(connection, check_health)

    monkeypatch.setattr(redis.Connection, "on_connect_check_health", slowly)
    with ThreadPoolExecutor(1) as aside:
        first = aside.submit(cleaner.reserve, url)
        assert connected.wait(LIVENESS_SECONDS)
        second = cleaner.reserve(url)
        go_on.set()
        assert second is not None
        assert first.result() is None
    second.close()
    again = cleaner.reserve(url)
    assert again is not None
    again.close()


def test_of_two_labs_exactly_one_has_the_number_however_they_meet(url: str) -> None:
    with ThreadPoolExecutor(2) as labs:
        for _ in range(40):
            taken = [each for each in labs.map(cleaner.reserve, [url, url]) if each is not None]
            for client in taken:
                client.close()
            assert len(taken) == 1
