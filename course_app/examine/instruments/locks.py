"""Locks between threads that the user's code makes: waiting for one becomes visible on the stack.

``threading.Lock`` is written in C, so a thread that waits for it looks as if it were at work in
the line that takes it. Only locks that the user's own code makes are replaced.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from course_app.examine.instruments.code import users


def install() -> None:
    """Before the app is imported, so that its own ``from threading import Lock`` is seen too."""
    for name in ("Lock", "RLock"):
        setattr(threading, name, _maker(getattr(threading, name)))


def _maker(original: Any) -> Any:
    def make(*args: Any, **options: Any) -> Any:
        lock = original(*args, **options)
        return VisibleLock(lock) if users(sys._getframe(1).f_code) else lock

    return make


class VisibleLock:
    """A lock whose waiting has a frame of its own."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def acquire(self, *args: Any, **options: Any) -> bool:
        """As the lock itself."""
        return bool(self._lock.acquire(*args, **options))

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)
