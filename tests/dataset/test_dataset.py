"""The blog is the same on every machine, and shaped like a real one."""

import re
from typing import Any

import psycopg
import pytest

from course_app.dataset import DATASET_VERSION, FILL_SQL, ROWS, SCHEMA_SQL
from course_app.services import Services

# md5 over all rows in order: changes when a single character of the data set does. Made with
# PostgreSQL 18 on x86_64; the SQL uses nothing that differs elsewhere.
FINGERPRINTS = {
    "users": "7570b873eeb3d0b8e9bd7bdaea4f105b",
    "posts": "5abbe13e39bb57aa0fba3d34f6426557",
    "comments": "ef8221f174e5d24ca9da10b11a58ebf6",
    "tags": "be1f4c015dc5ba27beb83b8110b2fd00",
    "post_tags": "b83042625b5047858068f709418203b6",
}


def rows(services: Services, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(services.postgres_dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def value(services: Services, query: str) -> Any:
    return rows(services, query)[0][0]


@pytest.mark.parametrize("table", ROWS)
def test_every_character_is_the_same_everywhere(services: Services, table: str) -> None:
    digest = f"SELECT md5(string_agg(md5(t::text), '' ORDER BY t)) FROM {table} AS t"
    assert value(services, digest) == FINGERPRINTS[table]


def test_there_are_primary_keys_and_no_other_indices(services: Services) -> None:
    found = rows(
        services,
        "SELECT indrelid::regclass::text, indisprimary FROM pg_index JOIN pg_class AS c "
        "ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace",
    )
    assert sorted(found) == sorted((table, True) for table in ROWS)
    assert value(services, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == 0


def test_references_hold(services: Services) -> None:
    for query in (
        "posts AS a LEFT JOIN users AS b ON b.id = a.author_id",
        "comments AS a LEFT JOIN users AS b ON b.id = a.author_id",
        "comments AS a LEFT JOIN posts AS b ON b.id = a.post_id",
        "post_tags AS a LEFT JOIN posts AS b ON b.id = a.post_id",
        "post_tags AS a LEFT JOIN tags AS b ON b.id = a.tag_id",
    ):
        assert value(services, f"SELECT count(*) FROM {query} WHERE b.id IS NULL") == 0


def test_ids_are_gapless_and_new_rows_follow(services: Services) -> None:
    for table in ("users", "posts", "comments", "tags"):
        low, high, count = rows(services, f"SELECT min(id), max(id), count(*) FROM {table}")[0]
        assert (low, high, count) == (1, ROWS[table], ROWS[table])
        sequence = f"pg_get_serial_sequence('{table}', 'id')"
        assert value(services, f"SELECT pg_sequence_last_value({sequence})") == ROWS[table]


def test_a_post_is_about_a_kilobyte(services: Services) -> None:
    low, mean, high = rows(
        services, "SELECT min(length(body)), avg(length(body)), max(length(body)) FROM posts"
    )[0]
    assert 800 < low < mean < high < 1100
    assert mean == pytest.approx(1000, rel=0.1)


def test_some_authors_write_much_and_most_write_little(services: Services) -> None:
    counts = "SELECT count(*) AS n, author_id FROM posts GROUP BY author_id"
    assert value(services, f"SELECT max(n) FROM ({counts}) AS c") > 200
    assert (
        value(
            services, f"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY n) FROM ({counts}) AS c"
        )
        < 5
    )


def test_a_post_has_one_to_three_tags_two_on_average(services: Services) -> None:
    tags = "posts AS p LEFT JOIN post_tags AS t ON t.post_id = p.id GROUP BY p.id"
    counts = f"SELECT count(t.tag_id) AS n FROM {tags}"
    low, mean, high = rows(services, f"SELECT min(n), avg(n), max(n) FROM ({counts}) AS c")[0]
    assert (low, high) == (1, 3)
    assert float(mean) == pytest.approx(2, rel=0.01)


def test_emails_are_unique_and_cannot_reach_anybody(services: Services) -> None:
    assert value(services, "SELECT count(DISTINCT email) FROM users") == ROWS["users"]
    assert (
        value(services, "SELECT count(*) FROM users WHERE email !~ '^[a-z.0-9]+@example[.]com$'")
        == 0
    )


def test_newer_posts_have_higher_ids_mostly_and_some_times_are_shared(services: Services) -> None:
    assert value(services, "SELECT corr(id, extract(epoch FROM created_at)) FROM posts") > 0.99
    assert value(services, "SELECT count(DISTINCT created_at) FROM posts") < ROWS["posts"]


def test_tables_are_vacuumed_analyzed_and_frozen(services: Services) -> None:
    found = rows(
        services,
        "SELECT c.relname, c.reltuples, c.relallvisible = c.relpages, s.n_dead_tup, "
        "s.last_analyze IS NOT NULL, age(c.relfrozenxid) < 1000 "
        "FROM pg_class AS c JOIN pg_stat_user_tables AS s ON s.relid = c.oid",
    )
    assert sorted(found) == sorted((table, n, True, 0, True, True) for table, n in ROWS.items())


def test_the_sql_is_deterministic() -> None:
    sql = (SCHEMA_SQL.read_text() + FILL_SQL.read_text()).lower()
    inserted = re.sub(r"default now\(\)", "", sql)
    for call in ("random(", "now(", "clock_timestamp", "current_", "gen_random_uuid"):
        assert call not in inserted


def test_the_version_is_twelve_hex_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", DATASET_VERSION)
