"""Where memory that is never given back was allocated."""

from __future__ import annotations

import gc
import linecache
import tracemalloc
from typing import Any

from course_app.serving.excerpt import is_own

#: Enough to reach the user's line through a few of a library's.
_FRAMES = 12
_SHOWN = 8
_last: dict[tuple[str, int], int] = {}


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
        # from the innermost out: the first line that the user wrote
        for frame in reversed(trace.traceback):
            if not frame.filename.startswith("<") and is_own(frame.filename):
                place = (frame.filename, frame.lineno)
                living[place] = living.get(place, 0) + trace.size
                break
    return {
        "bytes": [
            [file, line, linecache.getline(file, line).strip()[:200], size]
            for (file, line), size in sorted(living.items(), key=lambda item: -item[1])[:200]
        ],
        "traced": tracemalloc.get_traced_memory()[0],
    }
