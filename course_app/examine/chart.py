"""All that is known of an app after it was asked: what the causes judge by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from course_app.examine.findings import Bound, Cause, Evidence, Finding, lesson_of
from course_app.examine.seen import Look, Place, Visit
from course_app.load import Request, Response

#: A finding has to promise more than this, or it is not worth a reader's time.
WORTH = 1.25


@dataclass
class Asked:
    """One route: how it is asked for, and by which template the app knows it."""

    request: Request
    name: str
    template: str = ""
    alone: Look | None = None
    response: Response | None = None
    layers: dict[str, Any] = field(default_factory=dict)
    encoding: dict[str, Any] = field(default_factory=dict)
    layers_failed: str = ""

    def visits(self) -> list[Visit]:
        """Those of the window in which it was asked by one client, without the first ones."""
        if self.alone is None:
            return []
        found = [visit for visit in self.alone.visits if visit.route == self.template]
        return found[2:] if len(found) > 6 else found


@dataclass(frozen=True)
class Growth:
    """Memory in windows of as many requests each, with values that did not come before.

    Attributes:
        requests: in each window.
        rss: bytes after each window, the first one after warming up.
        lines: bytes by which what was allocated at a line grew, in each of two windows.
    """

    requests: int
    rss: tuple[int, ...]
    lines: tuple[tuple[str, int, str, tuple[int, ...]], ...] = ()


@dataclass
class Chart:
    """What was looked at. ``crowds`` are windows of all routes together, by rising clients."""

    asked: list[Asked] = field(default_factory=list)
    crowds: list[Look] = field(default_factory=list)
    plans: dict[str, Any] = field(default_factory=dict)
    #: What the database itself counted during the crowds, per request of all routes: rows read by
    #: sequential scans, by table; calls by statement; sessions. None where it is not the lab's.
    scanned: dict[str, float] | None = None
    executed: dict[str, float] | None = None
    sessions: float | None = None
    valkey_connections: float | None = None
    growth: Growth | None = None
    notes: list[str] = field(default_factory=list)

    def named(self, template: str) -> str:
        """The name under which a template was asked for."""
        return next((a.name for a in self.asked if a.template == template), template)

    @property
    def largest(self) -> Look | None:
        """The window with the most clients."""
        return self.crowds[-1] if self.crowds else None

    @property
    def by_alone(self) -> list[Asked]:
        """Routes that answered when they were asked by one client."""
        return [asked for asked in self.asked if asked.visits()]


def finding(
    cause: Cause,
    route: str,
    place: Place | None,
    evidence: list[Evidence],
    at_most: Bound,
    *,
    confirmed: bool = True,
) -> Finding:
    """A finding; confirmed only if two different looks agree."""
    looks = {each.look for each in evidence if each.agrees}
    return Finding(
        cause=cause,
        route=route,
        where=place.where() if place is not None else None,
        confirmed=confirmed and len(looks) >= 2,
        evidence=tuple(evidence),
        at_most=at_most,
        lesson=lesson_of(cause),
    )


def percent(value: Bound) -> str:
    """``62 % [55, 68]``."""
    return f"{100 * value.estimate:.0f} % [{100 * value.low:.0f}, {100 * value.high:.0f}]"
