"""Where memory that is never given back was allocated."""

from __future__ import annotations

import gc
import linecache
import re
import tracemalloc
from functools import lru_cache
from typing import Any

from course_app.serving.excerpt import is_own

#: Enough to reach the user's line through a few of a library's.
_FRAMES = 12
#: A line that puts something into something else.
_STORES = re.compile(r"\]\s*=[^=]|\.(append|appendleft|add|setdefault|update|extend|insert)\(")


@lru_cache(maxsize=10_000)
def _keeper(frames: tuple[tracemalloc.Frame, ...]) -> tuple[str, int] | None:
    """The user's line that keeps what was allocated: the innermost that stores something away.

    Without one the innermost of all the user's lines.
    """
    own = [
        (frame.filename, frame.lineno)
        for frame in reversed(frames)
        if not frame.filename.startswith("<") and is_own(frame.filename)
    ]
    keeping = (place for place in own if _STORES.search(linecache.getline(*place)))
    return next(keeping, own[0] if own else None)


def allocations(what: str) -> dict[str, Any]:
    """Begin to follow allocations, end it, or say what lives by the user's lines, in bytes."""
    if what == "start":
        tracemalloc.start(_FRAMES)
        return {}
    if what == "end":
        tracemalloc.stop()
        return {}
    gc.collect()
    snapshot = tracemalloc.take_snapshot()
    living: dict[tuple[str, int], int] = {}
    for trace in snapshot.traces:
        place = _keeper(tuple(trace.traceback))
        if place is not None:
            living[place] = living.get(place, 0) + trace.size
    return {
        "bytes": [
            [file, line, linecache.getline(file, line).strip()[:200], size]
            for (file, line), size in sorted(living.items(), key=lambda item: -item[1])[:200]
        ],
        "traced": tracemalloc.get_traced_memory()[0],
    }
