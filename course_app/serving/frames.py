"""Frames of other threads and of suspended coroutines, read while their owners go on."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_READING = threading.Lock()


@contextmanager
def no_collections() -> Iterator[None]:
    """Keep the garbage collector off while frames are read that this thread does not own.

    Up to Python 3.11 a collection may begin while a frame's object is made. What it calls lets
    other threads run; when they have returned from the frame in question, the new object points
    to memory that others use, and the process dies (github.com/python/cpython/issues/97002 is
    one of the forms). Later releases collect between two instructions only.
    """
    with _READING:  # who ends first would turn it on for the other
        was_on = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_on:
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
