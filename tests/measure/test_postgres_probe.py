"""PostgreSQL's CPU and connections are those of the requests that were counted."""

import psycopg

from course_app.measure.probes import Counts
from course_app.measure.probes.postgres import PostgresProbe
from course_app.services import Services


def test_short_statements_cost_cpu_that_ticks_would_not_show(services: Services) -> None:
    probe = PostgresProbe(services.postgres_dsn)
    with psycopg.connect(services.postgres_dsn, autocommit=True) as connection:
        probe.start()
        for _ in range(50):
            connection.execute("SELECT 1")
        seen = Counts(50, tuple(probe.stop()))
    probe.close()
    assert 0 < seen["PostgreSQL CPU"] < 5_000


def test_connections_of_others_that_rest_are_not_counted(services: Services) -> None:
    probe = PostgresProbe(services.postgres_dsn)
    with (
        psycopg.connect(services.postgres_dsn, autocommit=True) as working,
        psycopg.connect(services.postgres_dsn) as _resting,
    ):
        probe.start()
        working.execute("SELECT 1")
        seen = Counts(1, tuple(probe.stop()))
    probe.close()
    assert seen["PostgreSQL connections used"] == 1


def test_transaction_control_and_settings_need_not_be_counted(services: Services) -> None:
    seen = {}
    for count_control in (True, False):
        probe = PostgresProbe(services.postgres_dsn, count_control=count_control)
        with psycopg.connect(services.postgres_dsn) as connection:
            probe.start()
            connection.execute("SET statement_timeout = 1000")
            connection.execute("SAVEPOINT before")
            connection.execute("SELECT 1")
            connection.execute("ROLLBACK TO before")
            connection.execute("RELEASE before")
            connection.rollback()
            seen[count_control] = Counts(1, tuple(probe.stop()))["SQL statements"]
        probe.close()
    assert seen == {True: 7, False: 1}
