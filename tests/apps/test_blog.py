"""The mended blog answers as the guide's does, and its lists are right after each write."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
import redis

from course_app.apps.blog import guide
from course_app.apps.blog.corrected import Choices, create_blog
from course_app.apps.blog.parts import SingleFlight
from course_app.apps.blog.replay import PAGES, Auditor, by_cursor, by_offset, pages_drawn
from course_app.load import Response
from course_app.services import Services
from course_app.serving import ThreadServer

ALL = Choices(True, True, True, True)
NEW = {"author_id": 1, "title": "The newest", "body": "..."}


@pytest.fixture(scope="module")
def dsn(services: Services) -> Iterator[str]:
    """A database with a small table of posts, and its index."""
    made = services.new_database()
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("CREATE TABLE few (LIKE posts INCLUDING ALL)")
        connection.execute("INSERT INTO few SELECT * FROM posts WHERE id <= 500")
        connection.execute("ALTER TABLE few ALTER id RESTART WITH 501")
        connection.execute("CREATE INDEX ON few (created_at DESC, id DESC)")
        # Reads see what there was when they began, and are late; writes are not.
        connection.execute(
            "CREATE VIEW late AS SELECT * FROM few WHERE (SELECT pg_sleep(0.3)) IS NOT NULL"
        )
    yield made
    services.drop_database(made)


Serve = Callable[..., httpx.Client]


@pytest.fixture
def serve(dsn: str, services: Services) -> Iterator[Serve]:
    """Serves a blog with some choices, or the guide's without any."""
    url = services.new_valkey_database()
    opened: list[Any] = []

    def served(choices: Choices | None = None, table: str = "few") -> httpx.Client:
        prefix = f"{len(opened)}:"
        if choices is None:
            app = guide.create_blog(dsn, url, table=table, prefix=prefix)
        else:
            app = create_blog(dsn, url, choices, table=table, prefix=prefix)
        server = ThreadServer(app)
        client = httpx.Client(base_url=server.url)
        opened.extend([client, server])
        return client

    yield served
    for each in opened:
        each.close() if isinstance(each, httpx.Client) else each.stop()
    with redis.Redis.from_url(url) as valkey:
        valkey.flushdb()


@pytest.mark.parametrize("path", ["/posts/7", "/posts/999999", "/posts?skip=20&limit=5"])
def test_without_a_choice_it_answers_as_the_guides(serve: Serve, path: str) -> None:
    theirs, mine = serve(), serve(Choices())
    for _ in range(2):  # missed, then from the cache
        assert mine.get(path).json() == theirs.get(path).json()
        assert mine.get(path).status_code == theirs.get(path).status_code


def test_with_all_choices_hits_and_misses_are_the_same_answer(serve: Serve) -> None:
    plain, mended = serve(Choices()), serve(ALL)
    first = [post["id"] for post in plain.get("/posts?skip=0&limit=10").json()]
    cases = {
        "/posts/7": "/posts/7",
        "/posts?skip=0&limit=10": "/posts?limit=10",
        "/posts?skip=10&limit=10": f"/posts?before={first[-1]}&limit=10",
    }
    for by_skip, by_place in cases.items():
        wanted = plain.get(by_skip).json()
        moments = [mended.get(by_place).json() for _ in range(2)]
        assert moments[0] == moments[1]
        if isinstance(wanted, list):
            assert [p["created_at"] for p in moments[0]] == [p["created_at"] for p in wanted]
        else:
            assert moments[0] == wanted


def test_the_guides_lists_are_stale_after_a_write_and_the_mended_ones_are_not(
    serve: Serve,
) -> None:
    theirs, mine = serve(), serve(ALL)
    stale = {}
    for name, client in {"guide": theirs, "mended": mine}.items():
        sizes = (5, 10, 20)
        for size in sizes:
            client.get("/posts", params={"limit": size})
        new = client.post("/posts", json=NEW).json()["id"]
        newest = {
            size: client.get("/posts", params={"limit": size}).json()[0]["id"] for size in sizes
        }
        stale[name] = sum(post_id != new for post_id in newest.values())
    assert stale == {"guide": 2, "mended": 0}


def test_a_post_that_was_missing_is_found_as_soon_as_it_is_made(serve: Serve, dsn: str) -> None:
    client = serve(ALL)
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT max(id) + 1 FROM few").fetchone()
    assert row
    assert client.get(f"/posts/{row[0]}").status_code == 404
    made = client.post("/posts", json=NEW).json()
    assert made["id"] == row[0]
    assert client.get(f"/posts/{made['id']}").json() == made


def after_a_late_reader(client: httpx.Client, path: str, *, at_once: bool) -> httpx.Response:
    """A reader begins, a post is written, and then somebody asks for the same."""
    with ThreadPoolExecutor() as pool:
        late = pool.submit(client.get, path)
        time.sleep(0.1)
        client.post("/posts", json=NEW)
        if not at_once:
            late.result()
        return client.get(path)


NO_VERSIONS = Choices(single_flight=True)


@pytest.mark.parametrize(
    ("choices", "at_once", "right"),
    [
        (None, False, False),  # the late reader has stored what it read before the write
        (NO_VERSIONS, False, False),
        (NO_VERSIONS, True, False),  # who asks after the write joins who asked before it
        (ALL, False, True),
        (ALL, True, True),
    ],
)
def test_only_versions_keep_a_late_reader_from_answering_for_the_past(
    serve: Serve, dsn: str, choices: Choices | None, at_once: bool, right: bool
) -> None:
    client = serve(choices, "late")
    newest = after_a_late_reader(client, "/posts?limit=10", at_once=at_once).json()[0]["id"]
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT max(id) FROM few").fetchone()
    assert row
    assert (newest == row[0]) is right


def test_a_post_is_found_although_somebody_looked_for_it_just_before(
    serve: Serve, dsn: str
) -> None:
    for at_once in (True, False):
        client = serve(ALL, "late")
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SELECT max(id) + 1 FROM few").fetchone()
        assert row
        found = after_a_late_reader(client, f"/posts/{row[0]}", at_once=at_once)
        assert found.status_code == 200


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_only_the_mended_blog_bounds_its_pages(serve: Serve, limit: int) -> None:
    assert serve(ALL).get("/posts", params={"limit": limit}).status_code == 422


def test_of_many_who_miss_one_loads() -> None:
    async def crowd() -> tuple[list[bytes], int]:
        flights, loads = SingleFlight(), 0

        async def load() -> bytes:
            nonlocal loads
            loads += 1
            await asyncio.sleep(0.01)
            return b"x"

        answers = await asyncio.gather(*(flights.run("key", load) for _ in range(20)))
        return list(answers), loads

    assert asyncio.run(crowd()) == ([b"x"] * 20, 1)


START = datetime(2026, 1, 1, tzinfo=UTC)
POSTS = [(START - timedelta(minutes=n), 100 - n) for n in range(60)]


def answer(request: str, content: Any) -> Response:
    return Response(200, (), json.dumps(content).encode(), f"{request} HTTP/1.1\r\n\r\n")


def listed(places: range) -> list[dict[str, str]]:
    return [{"created_at": POSTS[place][0].isoformat()} for place in places]


def test_the_auditor_knows_what_each_list_must_hold() -> None:
    new = {"id": 101, "created_at": (START + timedelta(minutes=1)).isoformat()}
    audit = Auditor(POSTS).audit(
        [
            answer("GET /posts?skip=0&limit=10", listed(range(10))),
            answer("POST /posts", new),
            answer("GET /posts?skip=0&limit=10", listed(range(10))),  # stale
            answer("GET /posts?limit=10", [new, *listed(range(9))]),
            answer("GET /posts?skip=10&limit=10", listed(range(10, 20))),  # stale
            answer("GET /posts?before=91&limit=10", listed(range(10, 20))),
            answer("GET /posts/5", {}),
        ]
    )
    assert (audit.lists, audit.stale) == (5, 2)
    assert (audit.first_pages, audit.stale_first_pages) == (3, 1)
    assert audit.created == (101,)


def test_both_ways_of_paging_ask_for_the_same_pages() -> None:
    share, drawn = pages_drawn()
    assert 0.1 < share < 0.2
    assert min(drawn) == 1
    assert max(drawn) < PAGES
    offsets, cursors = by_offset(1000), by_cursor(1000, range(20_000, 0, -1))
    assert [r.weight for r in offsets.requests] == [r.weight for r in cursors.requests]
