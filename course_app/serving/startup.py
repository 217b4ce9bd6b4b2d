"""What to tell the reader when an app's start-up fails or hangs."""

import asyncio
import contextlib
import gc
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

from course_app.serving.errors import AppFailedToStart
from course_app.serving.excerpt import frames_text, own_lines, summary


def require_asgi(app: object, name: str) -> None:
    """Refuse what cannot be an ASGI app, before anything is started.

    Raises:
        AppFailedToStart: ``app`` cannot be called.
    """
    if callable(app):
        return
    raise AppFailedToStart(
        f'"{name}" is no ASGI app but of type {type(app).__name__}; '
        "pass the object that FastAPI() returned."
    )


def failed(name: str, error: BaseException | None) -> AppFailedToStart:
    """The error for a start-up that ended with this exception."""
    if error is None:
        return AppFailedToStart(f'"{name}" ended while it started; look at its lifespan.')
    return AppFailedToStart(
        f'"{name}" failed to start: {summary(error)}\n{own_lines(error)}\n'
        "Correct these lines and run the cell again.",
        error,
    )


def too_slow(name: str, timeout_seconds: float, where: str) -> AppFailedToStart:
    """The error for a start-up that did not end in time."""
    return AppFailedToStart(
        f'"{name}" did not start within {timeout_seconds:g} s; it waits here:\n{where}\n'
        "Make what it waits for available, or give it a time limit."
    )


def where_it_waits(thread: threading.Thread, loop: asyncio.AbstractEventLoop) -> str:
    """The reader's lines at which a server's thread waits: a blocking call, or an ``await``."""
    blocked = sys._current_frames().get(thread.ident or 0)
    frames = list(traceback.extract_stack(blocked))
    with contextlib.suppress(RuntimeError):  # tasks may come and go while we look
        for task in asyncio.all_tasks(loop):
            for frame in _awaiting(task.get_coro()):
                frames += traceback.extract_stack(frame, limit=1)
    return frames_text(frames)


def _awaiting(waiting: Any) -> Iterator[FrameType]:
    """Frames of a suspended coroutine and of all that it awaits, from the outside in."""
    while waiting is not None:
        kind = next((k for k in ("cr", "gi", "ag") if hasattr(waiting, f"{k}_frame")), None)
        if kind is None:
            waiting = _generator_behind(waiting)
            continue
        frame = getattr(waiting, f"{kind}_frame")
        if frame is not None:
            yield frame
        waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")


def _generator_behind(awaitable: Any) -> Any:
    """The asynchronous generator that ``anext()`` awaits; its awaitable does not name it."""
    return next((o for o in gc.get_referents(awaitable) if hasattr(o, "ag_frame")), None)
