"""The newsroom's stages as they may be found in real code: right, and slow. A seed picks one.

Each has the name of the sound stage that it takes the place of, so that no trace gives it away.
"""

import random
import re
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import psycopg

from course_app.apps.newsroom import (
    LATEST,
    SOUND,
    TAGGED,
    Page,
    Stage,
    Stages,
    found,
    replaced,
    words_of,
)


async def comments(pool: Any, page: Page) -> list[Page]:
    query = "SELECT id, body FROM comments WHERE post_id::text = $1 ORDER BY id"
    return [dict(row) for row in await pool.fetch(query, str(page["id"]))]


async def words(_pool: Any, page: Page) -> list[tuple[str, int]]:
    all_words = words_of(page)
    counted = [
        (one, sum(bool(re.fullmatch(one, other, re.IGNORECASE)) for other in all_words))
        for one in all_words
    ]
    return sorted(set(counted), key=lambda pair: (-pair[1], pair[0]))[:10]


async def articles(pool: Any, page: Page) -> list[Page]:
    query = "SELECT id, title, created_at FROM posts WHERE author_id + 0 = $1 ORDER BY id LIMIT 40"
    return [dict(row) for row in await pool.fetch(query, page["id"])]


async def activity(_pool: Any, page: Page) -> dict[str, int]:
    counted = {}
    for article in page["articles"]:
        month = f"{article['created_at']:%Y-%m}"
        ours = deepcopy(page["articles"])
        counted[month] = sum(f"{other['created_at']:%Y-%m}" == month for other in ours)
    return dict(sorted(counted.items()))


async def latest(pool: Any, page: Page) -> list[Page]:
    query = TAGGED.replace("p.title", "p.title, p.body, p.created_at")
    rows = [dict(row) for row in await pool.fetch(query, page["id"])]
    wanted = ("id", "author_id", "title")
    return found([{name: row[name] for name in wanted} for row in rows][:LATEST])


async def authors(pool: Any, page: Page) -> dict[int, str]:
    names = {}
    for post in sorted(page["latest"], key=lambda post: post["author_id"]):
        query = "SELECT name FROM users WHERE id = $1"
        names[post["author_id"]] = await pool.fetchval(query, post["author_id"])
    return names


async def related(_pool: Any, page: Page) -> list[int]:
    def in_common(pair: tuple[Page, Page]) -> int:
        sets = [set(re.findall(r"\w+", str(deepcopy(post)["title"]).lower())) for post in pair]
        return len(sets[0] & sets[1])

    pair = max(combinations(page["latest"], 2), key=in_common)
    return [post["id"] for post in pair]


@dataclass(frozen=True)
class Plant:
    """A slow stage: where it is, and what it causes more of.

    ``causes`` are the names of counts that give it away, the most telling one first.
    """

    page: str
    stage: str
    causes: tuple[str, ...]
    slow: Stage

    @property
    def endpoint(self) -> str:
        """The path of its page, as the app declares it."""
        return f"/{self.page}/{{{self.page[:-1]}_id}}"


PLANTS = (
    Plant("posts", "comments", ("buffers",), comments),
    Plant("posts", "words", ("CPU",), words),
    Plant("users", "articles", ("buffers",), articles),
    Plant("users", "activity", ("CPU",), activity),
    Plant("tags", "latest", ("rows", "buffers"), latest),
    Plant("tags", "authors", ("SQL statements",), authors),
    Plant("tags", "related", ("CPU",), related),
)


def plant_of(seed: int | str) -> Plant:
    """What that seed plants; asking it is giving up."""
    return random.Random(f"newsroom {seed}").choice(PLANTS)


def planted(seed: int | str) -> Stages:
    """The stages of all pages, one of them slow."""
    plant = plant_of(seed)
    return replaced(SOUND, plant.page, plant.stage, plant.slow)


def sow(postgres_dsn: str, seed: int | str) -> None:
    """Write a seed into the database, for all who may look into it."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS sown")
        connection.execute("CREATE TABLE sown AS SELECT %s::text AS seed", [str(seed)])
        connection.execute("GRANT SELECT ON sown TO PUBLIC")


def sown(postgres_dsn: str) -> str:
    """The seed that was written into the database.

    Raises:
        psycopg.errors.UndefinedTable: none was.
    """
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute("SELECT seed FROM sown").fetchone()
    assert row is not None
    return str(row[0])
