"""Which level is best for whom: the check measures them all, and compares on three links."""

import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from course_app.measure.statistics import Interval, mean_interval
from course_app.measure.transfer import Delivery

#: The links of the three clients, Mbit/s: those that the text of the exercise names.
LINKS = {"phone": 2.0, "office": 100.0, "indexer": 20_000.0}

#: None: the answer goes out as it is.
Level = int | None
LEVELS: tuple[Level, ...] = (None, *range(1, 10))
_ROUNDS = 9


def gzipped(body: bytes, level: Level) -> bytes:
    """The body as Starlette's middleware would send it."""
    if level is None:
        return body
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def cpu_ms(body: bytes, level: Level) -> float:
    """CPU of this thread, which others' work does not change."""
    began = time.thread_time()
    gzipped(body, level)
    return 1e3 * (time.thread_time() - began)


def measured(body: bytes) -> dict[Level, Delivery]:
    """Each level in turns."""
    rounds = [[cpu_ms(body, level) for level in LEVELS] for _ in range(_ROUNDS)]
    columns = np.array(rounds).T
    return {
        level: Delivery(column, len(gzipped(body, level)))
        for level, column in zip(LEVELS, columns, strict=True)
    }


def times_as_long(ways: Mapping[Level, Delivery], level: Level, link: float) -> Interval:
    """How many times as long as with the best level that one takes, with its interval."""
    best = best_of(ways, link)
    return mean_interval(np.log(_ms(ways[level], link) / _ms(ways[best], link))).exp()


def best_of(ways: Mapping[Level, Delivery], link: float) -> Level:
    """The level with which the answer is there first."""
    return min(ways, key=lambda level: float(ways[level].ms(link)))


def read(handed_in: Any) -> dict[str, Level] | None:
    """The learner's choices, or None if they are not what was asked for."""
    if not isinstance(handed_in, Mapping) or set(handed_in) != set(LINKS):
        return None
    known = [
        level is None or (type(level) is int and 1 <= level <= 9) for level in handed_in.values()
    ]
    return dict(handed_in) if all(known) else None


def _ms(way: Delivery, link: float) -> Any:
    return way.cpu_ms + 8 * way.size_bytes / (1e3 * link)
