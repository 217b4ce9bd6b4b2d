"""Traffic of a blog, and an audit of its answers: is any list older than the last write?

One client sends one request after another, so what each list must hold is known: the posts from
before, and those that the answers to earlier requests said were created.
"""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from urllib.parse import parse_qsl, urlsplit

from course_app.load import (
    Request,
    Response,
    Workload,
    choice,
    get,
    mix,
    post,
    sequence,
    uniform,
    zipf,
)
from course_app.load.distributions import text

PAGE = 10
#: Lists go down to this page; page k is asked for with a probability proportional to 1/k.
PAGES = 1000
#: In percent: single posts, lists, new posts.
DETAILS, LISTS, WRITES = 65, 30, 5
_DRAWN_PAGES = 2000

Key = tuple[datetime, int]


def pages_drawn(seed: int = 1) -> tuple[float, list[int]]:
    """The share of lists that ask for the first page, and drawn numbers (1 and up) of others."""
    weights = [1 / page for page in range(1, PAGES + 1)]
    cumulative = list(itertools.accumulate(weights[1:]))
    random = Random(seed)
    drawn = [
        1 + bisect.bisect_left(cumulative, random.random() * cumulative[-1])
        for _ in range(_DRAWN_PAGES)
    ]
    return weights[0] / sum(weights), drawn


def by_offset(posts: int) -> Workload:
    """The mix for a blog whose pages are found by OFFSET."""
    share, pages = pages_drawn()
    first = f"/posts?skip=0&limit={PAGE}"
    deeper = f"/posts?skip={{skip}}&limit={PAGE}"
    skips = choice([page * PAGE for page in pages])
    return _mix(
        posts,
        get(first, weight=LISTS * share),
        get(deeper, skip=skips, weight=LISTS * (1 - share)),
    )


def by_cursor(posts: int, newest_ids: Sequence[int]) -> Workload:
    """The same pages for a blog that pages by cursor.

    Args:
        newest_ids: ids of the newest posts, in the blog's order, of all pages.
    """
    share, pages = pages_drawn()
    deeper = f"/posts?before={{before}}&limit={PAGE}"
    cursors = choice([newest_ids[page * PAGE - 1] for page in pages])
    return _mix(
        posts,
        get(f"/posts?limit={PAGE}", weight=LISTS * share),
        get(deeper, before=cursors, weight=LISTS * (1 - share)),
    )


def _mix(posts: int, *lists: Request) -> Workload:
    new = {
        "author_id": uniform(1, posts),
        "title": text("Post number {n}", n=sequence()),
        "body": "x" * 900,
    }
    return mix(
        get("/posts/{post_id}", post_id=zipf(posts), weight=DETAILS),
        *lists,
        post("/posts", json=new, weight=WRITES),
    )


@dataclass(frozen=True)
class Audit:
    """What came of a replay.

    Attributes:
        lists, stale: lists that were answered, and those that did not hold what they had to.
        first_pages, stale_first_pages: the same for the first page alone.
        created: ids of the posts that were created, in their order.
    """

    lists: int
    stale: int
    first_pages: int
    stale_first_pages: int
    created: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.stale} of {self.lists} lists stale after {len(self.created)} writes"


class Auditor:
    """Knows what each list must hold, one answer after another.

    Args:
        posts: creation time and id of all posts before the replay, newest first.
    """

    def __init__(self, posts: Sequence[Key]) -> None:
        self._newest_first = list(posts)
        self._created: list[int] = []
        self._places = {post_id: place for place, (_, post_id) in enumerate(self._newest_first)}
        self._lists = {True: [0, 0], False: [0, 0]}

    def audit(self, answers: Sequence[Response]) -> Audit:
        """Judge the answers to one client's requests, in the order in which they were sent."""
        for answer in answers:
            method, target, _ = answer.request_text.split(" ", 2)
            if answer.status != 200:
                continue
            if method == "POST":
                self._add(answer)
            elif urlsplit(target).path == "/posts":
                self._judge(target, answer)
        (pages, stale), (first_pages, stale_first) = self._lists[False], self._lists[True]
        return Audit(
            lists=pages + first_pages,
            stale=stale + stale_first,
            first_pages=first_pages,
            stale_first_pages=stale_first,
            created=tuple(self._created),
        )

    def _add(self, answer: Response) -> None:
        created = answer.json()
        self._created.append(created["id"])
        self._places[created["id"]] = -len(self._created)
        self._newest_first.insert(0, (_moment(created["created_at"]), created["id"]))

    def _judge(self, target: str, answer: Response) -> None:
        asked = {name: int(value) for name, value in parse_qsl(urlsplit(target).query)}
        start = self._start(asked)
        wanted = self._newest_first[start : start + asked.get("limit", PAGE)]
        # By time, not by id: the guide's order leaves posts of the same minute in any order.
        got = [_moment(each["created_at"]) for each in answer.json()]
        counts = self._lists[start == 0]
        counts[0] += 1
        counts[1] += got != [moment for moment, _ in wanted]

    def _start(self, asked: dict[str, int]) -> int:
        if "before" not in asked:
            return asked.get("skip", 0)
        # Places are counted from the first post that was there before the replay.
        return 1 + len(self._created) + self._places[asked["before"]]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
