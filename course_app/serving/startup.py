"""What to tell the reader when an app fails or hangs: at its start, or with a request."""

import asyncio
import contextlib
import sys
import threading
import traceback

from course_app.serving.errors import AppDoesNotAnswer, AppFailedToStart
from course_app.serving.excerpt import frames_text, own_frames_text, own_lines, summary
from course_app.serving.frames import awaited, no_collections

#: Threads in which Starlette runs `def` handlers.
_HANDLER_THREADS = "AnyIO worker thread"


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


def too_slow(name: str, timeout_seconds: float, where: str, blocked: bool) -> AppFailedToStart:
    """The error for a start-up that did not end in time."""
    busy = " It blocks its thread: if the machine stays busy, restart the kernel." * blocked
    return AppFailedToStart(
        f'"{name}" did not start within {timeout_seconds:g} s; it waits here:\n{where}\n'
        f"Make what it waits for available, or give it a time limit.{busy}"
    )


def blocks(name: str, what: str, thread: threading.Thread) -> AppDoesNotAnswer:
    """The error for a server whose event loop runs nothing any more."""
    return AppDoesNotAnswer(
        f'"{name}" does not answer: {what}. Its event loop is blocked here:\n'
        f"{frames_text(_stack(thread))}\n"
        "Nothing else can run meanwhile. Await instead, or make it a `def` handler, which runs in "
        "a thread; then run the cell again. If the machine stays busy, restart the kernel."
    )


def waits(name: str, what: str, loop: asyncio.AbstractEventLoop) -> AppDoesNotAnswer:
    """The error for requests that are not answered although the event loop runs."""
    frames = _tasks(loop)
    for other in threading.enumerate():
        if other.name.startswith(_HANDLER_THREADS):
            frames += _stack(other)
    where = own_frames_text(frames)
    return AppDoesNotAnswer(
        f'"{name}" does not answer: {what}. '
        + (f"It waits here:\n{where}\n" if where else "")
        + "Give what its handler waits for a time limit, or its stream an end."
    )


def where_it_waits(thread: threading.Thread, loop: asyncio.AbstractEventLoop) -> str:
    """The reader's lines at which a server's thread waits: a blocking call, or an ``await``."""
    return frames_text([*_stack(thread), *_tasks(loop)])


def _stack(thread: threading.Thread) -> list[traceback.FrameSummary]:
    with no_collections():
        frame = sys._current_frames().get(thread.ident or 0)
        return list(traceback.extract_stack(frame)) if frame is not None else []


def _tasks(loop: asyncio.AbstractEventLoop) -> list[traceback.FrameSummary]:
    frames: list[traceback.FrameSummary] = []
    # Tasks may come and go while we look.
    with contextlib.suppress(RuntimeError), no_collections():
        for task in asyncio.all_tasks(loop):
            for frame in awaited(task.get_coro()):
                frames += traceback.extract_stack(frame, limit=1)
    return frames
