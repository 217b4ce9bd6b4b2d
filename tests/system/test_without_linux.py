"""Servers, probes and noise where none of Linux's facilities is there, or nothing may be read."""

from collections.abc import Iterator
from types import SimpleNamespace

import psycopg
import pytest

from course_app.measure.noise import measure_noise
from course_app.measure.probes import Counts
from course_app.measure.probes.postgres import PostgresProbe
from course_app.measure.subject import Subject
from course_app.services import Services
from course_app.serving import ProcessServer, UsageNotKnown

HELLO = "course_app.apps.hello:app"


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessServer]:
    """Two workers of the smallest app, started on this system."""
    with ProcessServer(HELLO, workers=2) as server:
        yield server


@pytest.mark.usefixtures("no_linux")
def test_two_workers_are_ready_and_tell_what_they_use() -> None:
    with ProcessServer(HELLO, workers=2) as server:
        assert len(server.processes()) >= 3
        assert server.cpu_seconds() > 0
        assert server.pss_bytes() > 10e6


@pytest.mark.usefixtures("no_readings")
def test_what_workers_use_is_refused_in_a_sentence_and_not_zero(workers: ProcessServer) -> None:
    with pytest.raises(UsageNotKnown, match=r"memory of .* cannot be read here"):
        workers.pss_bytes()
    with pytest.raises(UsageNotKnown, match="CPU time of"):
        workers.cpu_seconds()
    subject = Subject("workers", workers, SimpleNamespace(concurrency=1))
    assert subject.work() == (None, None)


@pytest.mark.usefixtures("no_readings")
def test_a_machine_whose_processes_may_not_be_read_is_not_calm() -> None:
    assert measure_noise(0.05).badge == "not known"


def postgres_cpu(services: Services) -> float | None:
    probe = PostgresProbe(services.postgres_dsn)
    with psycopg.connect(services.postgres_dsn, autocommit=True) as connection:
        probe.start()
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000)")
        counts = Counts(1, tuple(probe.stop()))
    probe.close()
    assert counts["SQL statements"] == 1
    return counts.get("PostgreSQL CPU")


@pytest.mark.usefixtures("no_linux")
def test_postgresql_tells_its_cpu_without_proc(services: Services) -> None:
    assert postgres_cpu(services) > 1000


@pytest.mark.usefixtures("no_readings")
def test_cpu_of_postgresql_that_may_not_be_read_is_no_count(services: Services) -> None:
    assert postgres_cpu(services) is None
