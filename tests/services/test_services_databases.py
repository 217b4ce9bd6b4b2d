"""What a lab gets: its data, fresh databases, Valkey numbers, and settings that lessons need."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from service_labs import LabProcess

from course_app.dataset import ROWS
from course_app.services import Services, embedded, start_services
from course_app.services.server import candidate_ports


def value(dsn: str, query: str) -> object:
    """The first value of a query's first row."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def admin(services: Services) -> str:
    return services.postgres_dsn.removesuffix("/course") + "/postgres"


def test_a_lab_has_the_data_set(services: Services) -> None:
    assert urlsplit(services.postgres_dsn).path == "/course"
    for table, rows in ROWS.items():
        assert value(services.postgres_dsn, f"SELECT count(*) FROM {table}") == rows


def test_a_lab_without_data_set_has_an_empty_database() -> None:
    with start_services(dataset=False) as services:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert value(services.postgres_dsn, tables) == 0
        assert value(services.postgres_dsn, "SELECT count(*) >= 0 FROM pg_stat_statements") is True
        assert value(services.new_database(), "SELECT count(*) FROM users") == ROWS["users"]


def test_versions_are_the_servers_own(services: Services) -> None:
    assert value(services.postgres_dsn, "SHOW server_version") == services.postgres_version
    with redis.Redis.from_url(services.valkey_url) as client:
        assert client.info("server")["valkey_version"] == services.valkey_version
    assert services.embedded
    assert services.postgres_version.startswith("18.")
    assert services.valkey_version.startswith("9.")


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("wal_level", "replica"),
        ("max_connections", "100"),
        ("listen_addresses", "127.0.0.1"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("timezone", "UTC"),
        ("server_encoding", "UTF8"),
        ("lc_messages", "C"),
        ("password_encryption", "scram-sha-256"),
    ],
)
def test_postgres_measures_like_a_real_server(
    services: Services, setting: str, wanted: str
) -> None:
    assert value(services.postgres_dsn, f"SHOW {setting}") == wanted


def test_statement_statistics_are_everywhere(services: Services) -> None:
    fresh = [services.new_database(dataset=dataset) for dataset in (True, False)]
    for dsn in (services.postgres_dsn, admin(services), *fresh):
        assert value(dsn, "SELECT count(*) >= 0 FROM pg_stat_statements") is True
    for dsn in fresh:
        services.drop_database(dsn)


def test_valkey_keeps_nothing_on_disk(services: Services) -> None:
    with redis.Redis.from_url(services.valkey_url) as client:
        assert client.config_get("save")["save"] == ""
        assert client.config_get("appendonly")["appendonly"] == "no"
        assert client.config_get("maxmemory")["maxmemory"] == "0"


def test_a_fresh_database_has_nothing_of_what_was_done_to_others(services: Services) -> None:
    first = services.new_database()
    with psycopg.connect(first) as connection:
        connection.execute("DELETE FROM posts")
        connection.execute("INSERT INTO users (name, email, age, bio) VALUES ('', '', 1, '')")
    second = services.new_database()
    assert first != second
    assert value(second, "SELECT count(*) FROM posts") == ROWS["posts"]
    assert value(second, "SELECT max(id) FROM users") == ROWS["users"]
    services.drop_database(first)
    services.drop_database(second)


def test_databases_can_be_made_at_the_same_time() -> None:
    made: list[str] = []
    with start_services() as services:
        threads = [
            threading.Thread(target=lambda: made.append(services.new_database())) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [value(dsn, "SELECT count(*) FROM tags") for dsn in made] == [ROWS["tags"]] * 3
        # Copies do not wait for the disk; what comes after them does.
        assert [value(dsn, "SHOW fsync") for dsn in made] == ["on"] * 3


def test_a_dropped_database_is_gone_even_while_somebody_uses_it(services: Services) -> None:
    dsn = services.new_database(dataset=False)
    with psycopg.connect(dsn):
        services.drop_database(dsn)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(dsn)


def test_only_databases_made_on_request_can_be_dropped(services: Services) -> None:
    for dsn in (services.postgres_dsn, admin(services)):
        with pytest.raises(ValueError, match="not made by new_database"):
            services.drop_database(dsn)


def test_an_empty_database_has_no_tables(services: Services) -> None:
    dsn = services.new_database(dataset=False)
    assert value(dsn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    services.drop_database(dsn)


def test_new_valkey_databases_are_empty_and_apart(services: Services) -> None:
    urls = [services.new_valkey_database() for _ in range(3)]
    assert len({*urls, services.valkey_url}) == 4
    for url in urls:
        with redis.Redis.from_url(url) as client:
            assert client.dbsize() == 0
            client.set("key", url)
    for url in urls:
        with redis.Redis.from_url(url) as client:
            assert client.get("key") == url.encode()


def test_a_valkey_database_that_somebody_filled_is_not_given_away(services: Services) -> None:
    url = services.new_valkey_database()
    number = int(urlsplit(url).path[1:])
    with redis.Redis.from_url(url.replace(f"/{number}", f"/{number + 1}")) as client:
        client.set("key", "value")
        assert services.new_valkey_database().endswith(f"/{number + 2}")
        client.flushdb()


def test_three_labs_at_once_do_not_meet(start_lab: Callable[..., LabProcess]) -> None:
    labs: list[LabProcess] = []
    threads = [
        threading.Thread(target=lambda: labs.append(start_lab(dataset=True))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({port for lab in labs for port in lab.traces.ports}) == 6
    for lab in labs:
        with psycopg.connect(lab.traces.dsn, autocommit=True) as connection:
            connection.execute("DELETE FROM tags")
        others = [other for other in labs if other is not lab]
        lab.end()
        assert not any(other.traces.gone() for other in others if other.process.poll() is None)


def test_a_taken_port_is_left_to_its_owner() -> None:
    """A server that binds between our choice and our start keeps its port; ours takes another."""
    taken = next(candidate_ports())
    script = f"""
import sys
from course_app.services import server
real = server.candidate_ports
def first_taken():
    yield {taken}
    yield from real()
from course_app.services import postgres, valkey
postgres.candidate_ports = valkey.candidate_ports = first_taken
from course_app.services.supervisor import Job, Supervisor
from course_app.services.binaries import find_binaries, server_account
from course_app.services.cache import prepare
from course_app.services.folders import make_lab_folder
import shutil
binaries, account = find_binaries(), server_account()
folder = make_lab_folder(account)
job = Job("serve", str(prepare()), str(binaries.postgres), str(binaries.valkey), dataset=False,
          account=(account.uid, account.gid) if account else None)
supervisor = Supervisor(folder.path, job)
report = supervisor.serve()
supervisor.stop()
shutil.rmtree(folder.path)
print(report.postgres_port, report.valkey_port)
"""
    with socket.create_server(("127.0.0.1", taken)):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    ports = [int(word) for word in done.stdout.split()]
    assert len(set(ports)) == 2
    assert taken not in ports


def test_no_interrupt_reaches_what_switches_the_disk_on_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    by: dict[str, threading.Thread] = {}
    switch = embedded._set_fsync

    def noted(connection: psycopg.Connection[Any], wanted: str) -> None:
        by[wanted] = threading.current_thread()
        if wanted == "off":
            raise KeyboardInterrupt  # before or after it was switched off, nobody knows
        switch(connection, wanted)

    monkeypatch.setattr(embedded, "_set_fsync", noted)
    with pytest.raises(KeyboardInterrupt):
        services.new_database(dataset=False)
    assert by["on"] is not threading.main_thread()
    assert value(services.postgres_dsn, "SHOW fsync") == "on"
    monkeypatch.undo()
    services.drop_database(services.new_database(dataset=False))
    assert value(services.postgres_dsn, "SHOW fsync") == "on"


def test_flushes_of_the_log_are_counted(services: Services) -> None:
    """Lessons count them; a server that flushes as it writes counts none."""
    count = "SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"
    before = value(services.postgres_dsn, count)
    with psycopg.connect(services.postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE flushed ()")
        connection.execute("DROP TABLE flushed")
        connection.execute("SELECT pg_stat_force_next_flush()")
    after = value(services.postgres_dsn, count)
    assert isinstance(before, Decimal)
    assert isinstance(after, Decimal)
    assert after > before
