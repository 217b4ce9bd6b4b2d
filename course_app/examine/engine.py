"""The examination itself: serve the app in a process of its own, ask it in several ways, and judge."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence

from course_app.examine.findings import Report
from course_app.examine.target import Target
from course_app.load import Request

#: What goes on, the share of it that is done (0 to 1), and the seconds that are left (about).
Progress = Callable[[str, float, float], None]


async def examine(
    target: Target,
    traffic: Sequence[Request],
    *,
    services: Mapping[str, str] | None = None,
    against: Target | None = None,
    against_traffic: Sequence[Request] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    seconds: float = 60.0,
) -> Report:
    """Examine an app under the traffic that is given.

    Args:
        target: the app; it is loaded in a process of its own, which ends with this call.
        traffic: one request for each route, with changing values and the statuses that are right.
        services: ``postgres_dsn`` and ``valkey_url`` of the lab, for a factory that asks for them.
        against: another version of the app; ``Report.changes`` says what became of its findings.
        against_traffic: how the other version is asked, if otherwise.
        progress: is told what goes on.
        stop: once set, what is known so far is reported (``Report.partial``).
        seconds: about how long it may take; more routes than fit are each looked at for less long.

    Raises:
        CannotExamine: the app does not load, does not start, or answers no request rightly.
    """
    raise NotImplementedError


def examine_now(
    target: Target,
    traffic: Sequence[Request],
    *,
    services: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    seconds: float = 60.0,
) -> Report:
    """The same for callers without an event loop."""
    return asyncio.run(
        examine(target, traffic, services=services, progress=progress, stop=stop, seconds=seconds)
    )
