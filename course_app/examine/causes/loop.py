"""The event loop and the threads: who holds what everybody needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial

from course_app.examine.chart import Asked, Chart, finding, percent
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import Look, Place, Visit, larger, of_ticks, share, without
from course_app.system.cores import usable_cores

#: A request that holds the loop for so long is felt by everybody else.
_HELD_SECONDS = 0.003
#: A timer falls anywhere into a hold, so that it is late by half of it on average, or by less.
_LATE_BY = 0.25
#: What computes for its own sake has causes of its own.
_OTHERS = ("serialize", "typed", "compress", "middleware")
_LEAST_SHARE = 0.15
#: Of a window's time: when a line has formed, and how long all threads have to be taken.
_SETTLED = 0.4
_LEAST_FULL = 0.3


def blocked_loop(chart: Chart) -> list[Finding]:
    """Timers of the loop fire late, and the stack that held it is always the same user's line."""
    found = []
    for asked in chart.by_alone:
        look = asked.alone
        assert look is not None
        hold = _longest_hold(look)
        visits = asked.visits()
        if hold is None or _opening(visits, hold.place):
            continue
        part = share(visits, partial(_at_most, hold.each))
        if part.estimate < _LEAST_SHARE:
            continue
        found.append(_blocked(chart, asked, hold, part))
    return found


@dataclass(frozen=True)
class _Hold:
    """A user's line that holds the loop.

    each: seconds of a request.
    late: by how many seconds timers were late meanwhile, for each request.
    deepest: the user's line within it that most of the time was seen at.
    """

    place: Place
    each: float
    late: float
    deepest: Place

    @property
    def confirmed(self) -> bool:
        return self.late >= _LATE_BY * self.each


def _longest_hold(look: Look) -> _Hold | None:
    """Seen by turns of the loop that did not come; or, if they are short, by stacks alone.

    Stacks cannot tell one piece of work from many small ones, which let others have a turn in
    between. Timers can, so they have to agree where stacks alone speak.
    """
    long, short = (_hold_in(look, table) for table in ("held", "busy"))
    if short is not None and short.confirmed and (long is None or short.each > long.each):
        return short
    return long


def _hold_in(look: Look, table: str) -> _Hold | None:
    scale = look.seconds / max(1, int(look.raw["ticks"])) if table == "busy" else 1.0
    seen = [ran for ran in look.ran(table) if ran.outer and ran.kind not in _OTHERS]
    seconds, deepest = Counter[Place](), Counter[Place]()
    for ran in seen:
        if ran.outer is not None:
            seconds[ran.outer] += scale * ran.amount  # type: ignore[assignment]
    if not seconds:
        return None
    place, most = seconds.most_common(1)[0]
    for ran in seen:
        if ran.outer == place and ran.inner is not None:
            deepest[ran.inner] += ran.amount  # type: ignore[assignment]
    requests = max(1, len(look.visits))
    each = most / requests
    if each < _HELD_SECONDS:
        return None
    inner = deepest.most_common(1)[0][0] if deepest else place
    return _Hold(place, each, look.late_seconds / requests, inner)


def _opening(visits: list[Visit], place: Place) -> bool:
    """Whether the line awaits a new connection: what that computes is the connection's cost."""
    here = sum(
        any(c.awaited and c.place is not None and c.place.at == place.at for c in visit.connects)
        for visit in visits
    )
    return here > 0.5 * len(visits)


def _at_most(seconds: float, visit: Visit) -> tuple[float, float]:
    return min(visit.seconds, seconds), visit.seconds


def _blocked(chart: Chart, asked: Asked, hold: _Hold, part: Bound) -> Finding:
    deepest = hold.deepest
    by = "" if deepest == hold.place else f", in {deepest.function} ({deepest.file}:{deepest.line})"
    evidence = [
        Evidence(
            look="stacks of the loop's thread",
            says=f"Each request holds the loop for {1e3 * hold.each:.0f} ms in this line{by}: "
            f"{percent(part)} of its time.",
            value=part,
        ),
        Evidence(
            look="timers of the loop",
            says=f"Timers fired late by {1e3 * hold.late:.0f} ms in all for each request.",
            value=None,
            agrees=hold.confirmed,
        ),
    ]
    at_most = without(part)
    crowd = _crowd_held(chart, hold.place)
    if crowd is not None:
        clients, crowded = crowd
        evidence.append(
            Evidence(
                look="stacks of the loop's thread",
                says=f"With {clients} clients it holds the loop {percent(crowded)} of the time; "
                "every other request waits meanwhile.",
                value=crowded,
            )
        )
        at_most = larger(at_most, without(crowded))
    return finding(Cause.BLOCKED_LOOP, asked.name, hold.place, evidence, at_most)


def _crowd_held(chart: Chart, place: Place) -> tuple[int, Bound] | None:
    for look in reversed(chart.crowds):
        seconds = sum(
            ran.amount for ran in look.ran("held") if ran.outer and ran.outer.body == place.body
        )
        if seconds <= 0:
            continue
        part = min(1.0, seconds / look.seconds)
        return look.clients, of_ticks(part, float(look.raw["ticks"]), look)
    return None


def _for_a_token(visit: Visit) -> tuple[float, float]:
    return sum(s.kind == "token" for _, s in visit.samples), len(visit.samples)


def threads_exhausted(chart: Chart) -> list[Finding]:
    """Requests wait for a free thread, while all threads are taken by what only waits."""
    for look in reversed(chart.crowds):
        if (found := _exhausted(chart, look, _pool(look))) is not None:
            return [found]
    return []


@dataclass(frozen=True)
class _Pool:
    """The threads of one window, and who wanted one.

    waits: how often requests were seen in each state, by route.
    waiting, working: how often some were seen to wait for a thread, and to have one.
    full: the share of the time that all threads were taken, of which there are ``total``.
    queued: requests in line, on average.
    executor: whether asyncio's own threads were ever all taken.
    """

    waits: dict[str, Counter[str]]
    waiting: float
    working: float
    full: float
    total: float
    queued: float
    executor: bool

    @property
    def seen(self) -> int:
        """How often requests were seen at all."""
        return sum(sum(each.values()) for each in self.waits.values())

    @property
    def starved(self) -> list[str]:
        """Who needs a thread for a moment and waits for it many times as long: who suffers."""
        return [
            route
            for route, each in self.waits.items()
            if each["token"] > 3 * max(1, each["thread"]) and each["token"] >= 20
        ]


def _pool(look: Look) -> _Pool:
    """Of the two pools, anyio's and asyncio's own, the one that is full more often."""
    tokens, ticks = look.raw["tokens"], max(1, int(look.raw["ticks"]))
    waits = _settled_waits(look)
    waiting: float = sum(each["token"] for each in waits.values())
    working: float = sum(each["thread"] for each in waits.values())
    full, executor_full = (tokens.get(key, 0) / ticks for key in ("full", "executor full"))
    if executor_full <= full:
        total, queued = tokens.get("total", 0), tokens.get("waiting", 0) / ticks
        return _Pool(waits, waiting, working, full, total, queued, executor_full > 0)
    total, queued = tokens["executor total"], tokens["executor waiting"] / ticks
    # its waiting shows as threads at work: they are divided by what the queue tells
    in_line = queued / max(1e-9, queued + total)
    waiting, working = working * in_line, working * (1 - in_line)
    return _Pool(waits, waiting, working, executor_full, total, queued, True)


def _settled_waits(look: Look) -> dict[str, Counter[str]]:
    """States by route, without the beginning of the window.

    A line forms only while slow requests pile up, and those that have not come to an end count.
    """
    waits: dict[str, Counter[str]] = defaultdict(Counter)
    settled = look.raw["began"] + _SETTLED * look.seconds
    for visit in look.everybody:
        for when, state in visit.samples:
            if when > settled:
                waits[visit.route][state.kind] += 1
    return waits


def _exhausted(chart: Chart, look: Look, pool: _Pool) -> Finding | None:
    if not pool.seen or pool.waiting / pool.seen < _LEAST_SHARE or pool.full < _LEAST_FULL:
        return None
    if look.process_busy > 0.8 * min(usable_cores(), 1.2):
        return None  # the cores are used up: more threads would only wait for those
    if pool.waiting < 2 * pool.working and not pool.starved:
        return None
    places = Counter({ran.outer: ran.amount for ran in look.threads() if ran.outer is not None})
    if not places:
        return None
    return _of_the_pool(chart, look, pool, places)


def _of_the_pool(chart: Chart, look: Look, pool: _Pool, places: Counter[Place]) -> Finding:
    place = places.most_common(1)[0][0]
    holders = Counter({route: each["thread"] for route, each in pool.waits.items()})
    route = holders.most_common(1)[0][0]
    part = share(look.visits, _for_a_token)
    if pool.executor:
        part = of_ticks(pool.waiting / pool.seen, pool.seen, look)
    suffering = [v for v in look.visits if v.route in pool.starved]
    names = ", ".join(chart.named(each) for each in pool.starved[:3])
    evidence = [
        Evidence(
            look="what requests wait for",
            says=f"With {look.clients} clients requests wait for a free thread {percent(part)} of "
            "their time" + (f"; nearly all of it on {names}." if names else "."),
            value=part,
        ),
        Evidence(
            look="the thread pool's own count",
            says=f"All {pool.total:.0f} threads were taken {100 * pool.full:.0f} % of the time, "
            f"and {pool.queued:.0f} requests stood in line.",
            agrees=pool.full >= _LEAST_FULL,
        ),
        Evidence(
            look="stacks of the threads",
            says=f"{100 * places[place] / max(1, sum(places.values())):.0f} % of the threads' time "
            f"passes in {place.function}; the process uses {look.process_busy:.1f} cores.",
        ),
    ]
    worst = share(suffering, _for_a_token) if suffering else part
    at_most = without(larger(part, worst), most=look.clients)
    return finding(Cause.THREADS_EXHAUSTED, chart.named(route), place, evidence, at_most)
