"""Waiting for something that nobody announces."""

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], seconds: float, pause_seconds: float = 0.02) -> bool:
    """Look again and again, for so long at most; whether it became true."""
    deadline = time.monotonic() + seconds
    while not (held := true()) and time.monotonic() < deadline:
        time.sleep(pause_seconds)
    return bool(held)
