"""Frames of other threads and of suspended coroutines, read while their owners go on."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_READING = threading.Lock()


#: Up to Python 3.11 any allocation may begin a collection, also one in the midst of making or
#: leaving a frame. What it calls lets other threads run; if one of them reads that frame, the
#: frame's object may point to memory that others use, and the process dies sooner or later
#: (github.com/python/cpython/issues/97002 and 99729 are two of the forms). Later releases collect
#: between two instructions only.
COLLECTS_ANYWHERE = sys.version_info < (3, 12)


@contextmanager
def no_collections() -> Iterator[None]:
    """Keep the garbage collector off for one look at frames that this thread does not own."""
    with _READING:  # who ends first would turn it on for the other
        was_on = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_on:
                gc.enable()


class CollectionsInTurn:
    """For many looks at a loop's frames: collections at the loop's turns, and nowhere else.

    The thread that reads has to keep all threads from collecting, not itself alone: the one that
    is read may be in the midst of a collection already. So nobody collects by itself between
    :meth:`begin` and :meth:`end`; the loop does where it calls :meth:`turn`, as often and as much
    as the collector would have done. Where the collector is safe, or the app has turned it off,
    none of them does anything.

    Args:
        needed: whether the collector is in the way; by default, whether this Python's is.
    """

    def __init__(self, *, needed: bool = COLLECTS_ANYWHERE) -> None:
        self._needed = needed
        self._taken = False
        #: Objects that the last full collection left, and those that have aged since: as the
        #: collector itself, this one goes through all again when a quarter is new.
        self._old = self._aged = 0

    def begin(self) -> None:
        """From now on nothing is collected but at turns."""
        if self._needed and gc.isenabled():
            gc.disable()
            self._taken = True

    def turn(self) -> None:
        """Collect what is due, on the loop."""
        if not self._taken:
            return
        counts, thresholds = gc.get_count(), gc.get_threshold()
        if not thresholds[0] or counts[0] <= thresholds[0]:
            return
        if counts[1] <= thresholds[1]:
            gc.collect(0)
        elif counts[2] <= thresholds[2] or self._aged < self._old / 4:
            young = len(gc.get_objects(0)) + len(gc.get_objects(1))
            self._aged += young - gc.collect(1)
        else:
            gc.collect()
            self._old, self._aged = len(gc.get_objects(2)), 0

    def end(self) -> None:
        """Leave the rest to the collector again."""
        if self._taken:
            self._taken = False
            gc.enable()


def awaited(waiting: Any) -> Iterator[FrameType]:
    """Frames of a suspended coroutine and of all that it awaits, from the outside in."""
    while waiting is not None:
        if hasattr(waiting, "cr_frame"):
            frame, waiting = waiting.cr_frame, waiting.cr_await
        elif hasattr(waiting, "gi_frame"):
            frame, waiting = waiting.gi_frame, waiting.gi_yieldfrom
        elif hasattr(waiting, "ag_frame"):
            frame, waiting = waiting.ag_frame, waiting.ag_await
        else:
            frame, waiting = None, _behind(waiting)
        if frame is not None:
            yield frame


#: Awaitables that hold what they await, but do not name it: `anext()` of an asynchronous generator.
_NAMELESS = ("async_generator", "anext", "coroutine_wrapper")


def _behind(awaitable: Any) -> Any:
    if not type(awaitable).__name__.startswith(_NAMELESS):
        return None
    held = gc.get_referents(awaitable)
    return next((o for o in held if hasattr(o, "ag_frame") or hasattr(o, "cr_frame")), None)
