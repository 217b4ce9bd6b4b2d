"""Where memory that is never given back was allocated."""

from __future__ import annotations

import contextlib
import gc
import inspect
import linecache
import re
import tracemalloc
from functools import lru_cache
from typing import Any

from course_app.serving.excerpt import is_own

#: Enough to reach the user's line through a few of a library's.
_FRAMES = 12
_CACHE = type(lru_cache(abs))
#: A file and a line in it.
Place = tuple[str, int]
#: A line that puts something into something else.
_STORES = re.compile(r"\]\s*=[^=]|\.(append|appendleft|add|setdefault|update|extend|insert)\(")


@lru_cache(maxsize=10_000)
def _keeper(
    frames: tuple[tracemalloc.Frame, ...], cached: frozenset[Place] = frozenset()
) -> Place | None:
    """The user's line that keeps what was allocated: the innermost that stores something away.

    ``cached`` are lines whose function's results are all kept, so they store, too. Without any the
    innermost of all the user's lines.
    """
    own = [
        (frame.filename, frame.lineno)
        for frame in reversed(frames)
        if not frame.filename.startswith("<") and is_own(frame.filename)
    ]
    keeping = (p for p in own if p in cached or _STORES.search(linecache.getline(*p)))
    return next(keeping, own[0] if own else None)


def cached_lines() -> frozenset[Place]:
    """The lines of the user's functions that have a cache of ``functools`` without a limit."""
    lines: set[Place] = set()
    gc.unfreeze()  # what was there before the first request is out of the collector's sight else
    for each in gc.get_objects():
        if type(each) is not _CACHE or not hasattr(each, "cache_parameters"):
            continue
        if each.cache_parameters()["maxsize"] is None:
            with contextlib.suppress(ValueError):  # a function that wraps itself
                code = getattr(inspect.unwrap(each), "__code__", None)
                if code is not None and is_own(code.co_filename):
                    lines.update((code.co_filename, line) for *_, line in code.co_lines() if line)
    return frozenset(lines)


def allocations(what: str) -> dict[str, Any]:
    """Begin to follow allocations, end it, or say what lives by the user's lines, in bytes."""
    if what == "start":
        tracemalloc.start(_FRAMES)
        return {}
    if what == "end":
        tracemalloc.stop()
        return {}
    gc.collect()
    snapshot, cached = tracemalloc.take_snapshot(), cached_lines()
    living: dict[Place, int] = {}
    for way in snapshot.statistics("traceback"):  # far fewer than there are allocations
        place = _keeper(tuple(way.traceback), cached)
        if place is not None:
            living[place] = living.get(place, 0) + way.size
    return {
        "bytes": [
            [file, line, linecache.getline(file, line).strip()[:200], size]
            for (file, line), size in sorted(living.items(), key=lambda item: -item[1])[:200]
        ],
        "traced": tracemalloc.get_traced_memory()[0],
    }
