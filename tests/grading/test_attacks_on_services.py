"""What an answer may try on its database and its Valkey: it changes no count and reaches nobody."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import redis

from course_app.grading.bench import Bench
from course_app.grading.failures import BlocksValkey, RefusesChanges
from course_app.grading.limits import Limits
from course_app.grading.workspace import Workspace, Workspaces
from course_app.measure.probes.postgres import PostgresProbe
from course_app.services import Services


@pytest.fixture
def space(services: Services) -> Iterator[Workspace]:
    with Workspaces(lambda: services).open(("postgres_dsn", "valkey_url")) as opened:
        yield opened


@pytest.fixture
def app(space: Workspace) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(space.postgres_dsn or "", autocommit=True) as connection:
        yield connection


@pytest.fixture
def cache(space: Workspace) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(space.valkey_url or "") as client:
        yield client


def statements(space: Workspace, app: psycopg.Connection[tuple[object, ...]], *texts: str) -> float:
    """How many the check counts when the app sends these ten times each."""
    probe = PostgresProbe(space.reader_dsn or "", user=space.user, count_control=False)
    probe.start()
    for text in texts * 10:
        app.execute(text.encode())
    counted = {reading.name: reading.value for reading in probe.stop()}["SQL statements"]
    probe.close()
    return counted


TRIGGER = """
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen SELECT current_user, session_user,
        (SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN (current_user, session_user));
    RETURN NEW;
END $$;
CREATE TABLE seen (who text, really text, super boolean);
GRANT ALL ON seen TO public;
CREATE TRIGGER spy BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION spy();
"""


def test_a_trigger_runs_with_the_apps_own_rights(
    space: Workspace, app: psycopg.Connection[tuple[object, ...]]
) -> None:
    app.execute(TRIGGER.encode())
    space.execute("UPDATE users SET name = 'new' WHERE id = %s", 1)
    ((_, _, is_super),) = app.execute("SELECT * FROM seen").fetchall()
    assert not is_super
    with psycopg.connect(space.owner_dsn or "", autocommit=True) as connection:
        for escape in ("RESET ROLE", "RESET SESSION AUTHORIZATION"):
            connection.execute(escape.encode())
            assert connection.execute("SHOW is_superuser").fetchone() == ("off",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION spy()")


def test_a_trigger_that_refuses_changes_is_the_apps_fault(
    space: Workspace, app: psycopg.Connection[tuple[object, ...]]
) -> None:
    app.execute(TRIGGER.replace("RETURN NEW", "RAISE EXCEPTION 'no'").encode())
    with pytest.raises(RefusesChanges, match="no"):
        space.execute("UPDATE users SET name = 'new' WHERE id = %s", 1)


@pytest.mark.parametrize(
    "shadow",
    [
        "CREATE SCHEMA {stats}",
        "CREATE VIEW pg_catalog.pg_stat_statements AS SELECT 0",
        "CREATE OR REPLACE VIEW public.pg_stat_statements AS SELECT 0 AS calls",
        "DROP EXTENSION pg_stat_statements CASCADE",
        "SELECT public.pg_stat_statements_reset()",
        "ALTER ROLE {stats} SET search_path = public",
        "SET pg_stat_statements.track = none",
    ],
)
def test_what_is_counted_cannot_be_shadowed(
    space: Workspace, app: psycopg.Connection[tuple[object, ...]], shadow: str
) -> None:
    stats = (space.reader_dsn or "").partition("//")[2].partition(":")[0]
    with pytest.raises(psycopg.Error):
        app.execute(shadow.format(stats=stats).encode())
    assert statements(space, app, "SELECT count(*) FROM tags") == 10


def test_functions_of_the_apps_own_are_not_called_by_the_count(
    space: Workspace, app: psycopg.Connection[tuple[object, ...]]
) -> None:
    app.execute("CREATE FUNCTION public.liar(text, text) RETURNS boolean RETURN false")
    app.execute("CREATE OPERATOR public.!~* (LEFTARG = text, RIGHTARG = text, FUNCTION = liar)")
    app.execute("CREATE FUNCTION public.sum(bigint) RETURNS numeric RETURN 0")
    assert statements(space, app, "SELECT count(*) FROM tags") == 10


@pytest.mark.parametrize(
    "text",
    [
        "SELECT /* course probe */ 1",
        "SELECT pg_advisory_unlock_all(), (SELECT count(*) FROM tags)",
        "SELECT 'x' /* RESET ALL */",
    ],
)
def test_no_statement_looks_like_one_of_the_checks(
    space: Workspace, app: psycopg.Connection[tuple[object, ...]], text: str
) -> None:
    assert statements(space, app, text) == 10


@pytest.mark.parametrize("name", ["postgres", "template1", "course"])
def test_an_app_enters_its_own_database_only(space: Workspace, name: str) -> None:
    start, _, _ = (space.postgres_dsn or "").rpartition("/")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(f"{start}/{name}")


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "CLIENT KILL TYPE normal SKIPME no",
        "CLIENT LIST",
        "CLIENT PAUSE 10000",
        "CONFIG SET maxmemory 1",
        "DEBUG SLEEP 10",
        "SHUTDOWN NOSAVE",
        "SELECT 0",
        "SWAPDB 0 1",
        "ACL LIST",
        "MONITOR",
        "REPLICAOF 127.0.0.1 1",
        "FUNCTION FLUSH",
        "SCRIPT KILL",
        "CONFIG RESETSTAT",
    ],
)
def test_valkeys_neighbours_and_settings_are_out_of_reach(cache: redis.Redis, command: str) -> None:
    with pytest.raises(redis.ResponseError, match=r"permission|not allowed"):
        cache.execute_command(*command.split())
    assert cache.ping()


def test_valkey_does_all_that_an_app_needs(cache: redis.Redis) -> None:
    cache.set("a", 1, ex=10)
    assert cache.incr("a") == 2
    assert cache.pipeline().hset("h", "x", "1").expire("h", 5).execute() == [1, True]
    assert cache.register_script("return redis.call('GET', KEYS[1])")(keys=["a"]) == b"2"
    assert set(cache.scan_iter()) == {b"a", b"h"}
    assert cache.keys("*")
    assert cache.info("server")
    assert cache.client_setname("app")
    cache.flushdb()
    assert not cache.dbsize()


def test_statements_that_push_others_out_are_counted_all_the_same(
    space: Workspace, app: psycopg.Connection[tuple[object, ...]]
) -> None:
    """PostgreSQL keeps 5000 different ones: whoever sends more could hide behind them."""
    signs = (f"{number:013b}".replace("0", "+1").replace("1", "-1") for number in range(7000))
    different = [f"SELECT 1{'+1'.join(text)}" for text in signs]
    with app.pipeline():
        for text in different[:6000]:
            app.execute(text.encode())
    probe = PostgresProbe(space.reader_dsn or "", user=space.user)
    probe.start()
    with app.pipeline():
        for text in different[6000:]:
            app.execute(text.encode())
    counted = {reading.name: reading.value for reading in probe.stop()}["SQL statements"]
    probe.close()
    assert counted >= 900


def test_temporary_files_of_a_statement_are_bounded(
    app: psycopg.Connection[tuple[object, ...]],
) -> None:
    with pytest.raises(psycopg.Error):
        app.execute("SET temp_file_limit = -1")
    with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
        app.execute("SELECT * FROM generate_series(1, 100_000_000) AS n ORDER BY -n LIMIT 1")


def test_the_room_that_a_database_takes_is_known(
    space: Workspace, app: psycopg.Connection[tuple[object, ...]]
) -> None:
    before = space.database_bytes()
    app.execute("CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 20_000)")
    assert space.database_bytes() > before + 10_000_000 > 10_000_000


@pytest.mark.slow
def test_a_script_without_an_end_is_the_apps_fault_and_ends(
    space: Workspace, cache: redis.Redis
) -> None:
    def block() -> None:
        with pytest.raises(redis.RedisError):
            cache.eval("while true do end", 0)

    nobody: Any = None
    bench = Bench(lambda _: SimpleNamespace(workspace=space), nobody, Limits(), 1)  # type: ignore[arg-type,return-value]
    bench._candidates["learner"] = bench._launch("learner")
    bench.require_services()
    thread = threading.Thread(target=block)
    thread.start()
    time.sleep(0.5)
    with pytest.raises(BlocksValkey):
        bench.require_services()
    thread.join()
    bench.require_services()
