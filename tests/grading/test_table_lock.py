"""A locked table makes the app wait, and leaves no trace in what is counted."""

import threading
import time

import psycopg

from course_app.grading.table_lock import locked
from course_app.measure.probes.postgres import PostgresProbe
from course_app.services import Services


def test_the_locks_own_statements_are_not_counted(services: Services) -> None:
    dsn = services.new_database()
    probe = PostgresProbe(dsn)
    try:
        with locked(dsn, "tags", seconds=0.3):
            probe.start()
            time.sleep(0.5)
        statements = {reading.name: reading.value for reading in probe.stop()}["SQL statements"]
    finally:
        probe.close()
        services.drop_database(dsn)
    assert statements == 0


def test_statements_wait_until_the_lock_ends(services: Services) -> None:
    dsn = services.new_database()

    def read() -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT count(*) FROM tags")

    with locked(dsn, "tags", seconds=0.5) as lock:
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    services.drop_database(dsn)
    assert lock.most_waiting == 3
