"""All that is known of an app after it was asked: what the causes judge by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_app.examine.findings import (
    MOST_TIMES,
    Bound,
    Cause,
    Evidence,
    Finding,
    lesson_of,
)
from course_app.examine.seen import (
    PARTS,
    Look,
    Place,
    Span,
    Visit,
    bound,
    cpu_of,
    larger,
    seconds_of,
    share,
    without,
)
from course_app.load import Request, Response

#: A finding has to promise more than this, or it is not worth a reader's time.
WORTH = 1.25

#: No request of FastAPI's costs less than this, whatever it does.
_LEAST_CPU_SECONDS = 1e-4

#: What of a visit goes with a cause; what went on at the same time counts once.
Goes = Callable[[Visit], Sequence[Span]]


@dataclass(eq=False)  # two may be alike, and arrays within cannot be compared
class Asked:
    """One route: how it is asked for, and by which template the app knows it."""

    request: Request
    name: str
    template: str = ""
    alone: Look | None = None
    response: Response | None = None
    layers: dict[str, Any] = field(default_factory=dict)
    encoding: dict[str, Any] = field(default_factory=dict)

    def visits(self) -> list[Visit]:
        """Those of the window in which it was asked by one client, without the first ones."""
        if self.alone is None:
            return []
        found = [visit for visit in self.alone.visits if visit.route == self.template]
        return found[2:] if len(found) > 6 else found


@dataclass(frozen=True)
class Growth:
    """Memory in windows of as many requests each, with values that did not come before.

    Nobody takes samples meanwhile, so this is also what requests cost the process by themselves.

    Attributes:
        requests: in each window.
        rss: bytes after each window, the first one after warming up.
        cpu: seconds of the process's CPU for one request, in each window.
        lines: bytes by which what was allocated at a line grew, in each of two windows.
    """

    requests: int
    rss: tuple[int, ...]
    cpu: tuple[float, ...]
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

    def index_of(self, look: Look, asked: Asked) -> int:
        """Which of a window's requests a route's is."""
        if look is asked.alone:
            return 0
        return [each for each in self.asked if each.alone is not None].index(asked)

    def wrong_answers(self, look: Look, asked: Asked) -> int:
        """How many of a route's answers its clients found wrong in a window, or never got."""
        return int(np.sum(look.load.failed_index == self.index_of(look, asked)))

    def latencies(self, look: Look, asked: Asked) -> NDArray[np.float64]:
        """Seconds that a route's clients waited in a window, in the order of the answers."""
        index = self.index_of(look, asked)
        mine: NDArray[np.float64] = look.load.service_ms[look.load.request_index == index] / 1e3
        return mine

    def part_of(self, asked: Asked, *looks: Look) -> float:
        """The share of all requests in some windows (else in all crowds) that was this route's."""
        seen = looks or self.crowds
        mine = sum(len(look.of(asked.template)) for look in seen)
        return mine / max(1, sum(len(look.visits) for look in seen))

    def per_request(
        self, counted: float, asked: Asked, each: Callable[[Asked], float]
    ) -> float | None:
        """What a server counted for one request of a route; None where no crowd asked for it.

        Args:
            counted: for each request of all routes.
            each: how often one request of a route does what is counted, by what the app's side
                saw. The server does not know of routes: its count is divided among those that do
                it, in that proportion.
        """
        alike = Counter(other.template for other in self.by_alone)
        expected = sum(
            self.part_of(other) / alike[other.template] * each(other) for other in self.by_alone
        )
        return counted * each(asked) / expected if expected > 0 else None

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


def share_of_time(visits: list[Visit], goes: Goes) -> Bound:
    """The share of the visits' time that goes with a cause."""
    return share(visits, lambda visit: (seconds_of(goes(visit)), visit.seconds))


def relieved(chart: Chart, asked: Asked, goes: Goes) -> Bound:
    """How many times as fast a route gets at most if it asks others for less.

    Alone, the share of the time that goes (Amdahl, 1967). Among many, everybody's calls are in
    everybody's way, on servers that cannot be looked into; so the asymptotic bounds of a closed
    model count (Denning and Buzen, 1978): a request takes no less than what stays of it takes
    alone, and the process has time for no more requests than what stays of its work allows.

    Returns:
        The larger one of what one client can gain and what some crowd can.
    """
    visits = asked.visits()
    assert asked.alone is not None
    best = without(share_of_time(visits, goes))
    gone = float(np.median([seconds_of(goes(visit)) for visit in visits]))
    stays = max(1e-6, float(np.median(chart.latencies(asked.alone, asked))) - gone)
    less = without(_of_the_work(chart, asked, goes))
    for look in chart.crowds:
        waited = chart.latencies(look, asked)
        if len(waited) < 2 * PARTS:
            continue
        # Time on the process is what all routes' answers take on average, not this one's alone.
        usual = min(float(np.mean(waited)), float(np.mean(look.load.service_ms)) / 1e3)
        needed = usual * _busy(chart, look) / less.estimate
        means = [float(np.mean(part)) for part in np.array_split(waited, PARTS)]
        gain = without(bound([max(0.0, 1 - max(stays, needed) / mean) for mean in means]))
        if needed > stays:  # then the uncertainty of the work that is saved counts as well
            low, high = less.low / less.estimate, less.high / less.estimate
            gain = gain.model_copy(
                update={"low": max(1.0, gain.low * low), "high": min(MOST_TIMES, gain.high * high)}
            )
        best = larger(best, gain)
    return best


def _busy(chart: Chart, look: Look) -> float:
    """The share of its cores that a crowd's requests need of the process, taking samples apart."""
    cores = max(1.0, look.process_busy)
    each = float(np.mean(chart.growth.cpu)) if chart.growth is not None else np.inf
    # Little (1961): also where few answers come within the window.
    rate = look.clients / max(1e-6, float(np.mean(look.load.service_ms)) / 1e3)
    return min(look.process_busy, each * rate) / cores


def _of_the_work(chart: Chart, asked: Asked, goes: Goes) -> Bound:
    """The share of the process's work that goes, when all routes are asked as often.

    Whoever mends it mends it for all of them: it is the same statement, or the same client.
    """
    whole = sum(
        float(each.alone.raw["process_cpu"]) / max(1, len(each.alone.visits))
        for each in chart.by_alone
        if each.alone is not None
    )
    # Clocks of two kinds differ by more than what is left, where nearly all goes.
    least = _LEAST_CPU_SECONDS * len(chart.by_alone)
    others = sum(_each(each.visits(), goes) for each in chart.by_alone if each is not asked)
    visits = sorted(asked.visits(), key=lambda visit: visit.end)
    parts = []
    for group in np.array_split(np.arange(len(visits)), min(PARTS, len(visits))):
        gone = others + _each([visits[i] for i in group], goes)
        parts.append(gone / max(whole, gone + least))
    return bound(parts)


def _each(visits: Sequence[Visit], goes: Goes) -> float:
    """Seconds of CPU that go, for each visit. What one does after its answer may be the next's."""
    return cpu_of(span for visit in visits for span in goes(visit)) / max(1, len(visits))


def freed(chart: Chart, asked: Asked, alone: Bound, cost: Callable[[Visit], float]) -> Bound:
    """How many times as fast a route gets at most if its process has less to compute.

    Alone, the share of the time (``alone``). Among many, what one request computes keeps all
    others waiting as well: ``cost`` (seconds of a visit's CPU, whatever its route) goes from the
    window's time, or from that of all cores which the process keeps busy.
    """
    best = without(alone)
    for look in chart.crowds:
        if len(look.of(asked.template)) < 2 * PARTS:
            continue
        visits = sorted(look.visits, key=lambda visit: visit.end)
        cores = max(1.0, look.process_busy) * look.seconds / PARTS
        groups = np.array_split(np.array([cost(visit) for visit in visits]), PARTS)
        part = bound([min(0.999, float(group.sum()) / cores) for group in groups])
        wider = {
            name: min(0.999, getattr(part, name) * getattr(alone, name) / alone.estimate)
            for name in ("estimate", "low", "high")
        }
        best = larger(best, without(Bound(**wider)))
    return best


def percent(value: Bound) -> str:
    """``62 % [55, 68]``."""
    return f"{100 * value.estimate:.0f} % [{100 * value.low:.0f}, {100 * value.high:.0f}]"
