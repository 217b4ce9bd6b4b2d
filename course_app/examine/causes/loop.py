"""The event loop and the threads: who holds what everybody needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial

import numpy as np

from course_app.examine.chart import Asked, Chart, finding, percent
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import Look, Place, Visit, bound, share, without
from course_app.system.cores import usable_cores

#: A request that holds the loop for so long is felt by everybody else.
_HELD_SECONDS = 0.004
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
        held = _held(look)
        if not held:
            continue
        place, seconds = held.most_common(1)[0]
        visits = asked.visits()
        each = seconds / max(1, len(look.visits))
        if each < _HELD_SECONDS:
            continue
        part = share(visits, partial(_at_most, each))
        if part.estimate < _LEAST_SHARE:
            continue
        found.append(_blocked(chart, asked, look, place, each, part))
    return found


def _at_most(seconds: float, visit: Visit) -> tuple[float, float]:
    return min(visit.seconds, seconds), visit.seconds


def _held(look: Look) -> Counter[Place]:
    held: Counter[Place] = Counter()
    for ran in look.ran("held"):
        if ran.outer is not None and ran.kind not in _OTHERS:
            held[ran.outer] += ran.amount  # type: ignore[assignment]
    return held


def _blocked(
    chart: Chart, asked: Asked, look: Look, place: Place, each: float, part: Bound
) -> Finding:
    late = look.late_seconds / max(1, len(look.visits))
    agrees = late >= 0.4 * each
    inner = Counter(
        {ran.inner: ran.amount for ran in look.ran("held") if ran.outer == place and ran.inner}
    )
    deepest = inner.most_common(1)[0][0] if inner else place
    by = "" if deepest == place else f", in {deepest.function} ({deepest.file}:{deepest.line})"
    evidence = [
        Evidence(
            look="stacks of the loop's thread",
            says=f"Each request holds the loop for {1e3 * each:.0f} ms in this line{by}: "
            f"{percent(part)} of its time.",
            value=part,
        ),
        Evidence(
            look="timers of the loop",
            says=f"Timers fired late by {1e3 * late:.0f} ms in all for each request.",
            value=None,
            agrees=agrees,
        ),
    ]
    crowd = _crowd_held(chart, place)
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
        at_most = without(crowded, most=clients)
    else:
        at_most = without(part)
    return finding(Cause.BLOCKED_LOOP, asked.name, place, evidence, at_most)


def _crowd_held(chart: Chart, place: Place) -> tuple[int, Bound] | None:
    for look in reversed(chart.crowds):
        seconds = sum(
            ran.amount for ran in look.ran("held") if ran.outer and ran.outer.body == place.body
        )
        if seconds <= 0:
            continue
        part = min(1.0, seconds / look.seconds)
        # Lateness in parts of the window gives the interval; the stacks give its middle.
        lags = [late for _, late in look.raw["lags"]]
        parts = [sum(group) for group in np.array_split(np.array(lags), 8)] if lags else []
        spread = bound([p / max(1e-9, sum(parts)) * len(parts) for p in parts]) if parts else None
        wide = 0.1 if spread is None else min(0.3, max(0.02, spread.high - spread.low) / 8)
        return look.clients, Bound(
            estimate=part, low=max(0.0, part * (1 - wide)), high=min(1.0, part * (1 + wide))
        )
    return None


def _for_a_token(visit: Visit) -> tuple[float, float]:
    return sum(s.kind == "token" for _, s in visit.samples), len(visit.samples)


def threads_exhausted(chart: Chart) -> list[Finding]:
    """Requests wait for a free thread, while all threads are taken by what only waits."""
    for look in reversed(chart.crowds):
        if (found := _exhausted(chart, look)) is not None:
            return [found]
    return []


def _exhausted(chart: Chart, look: Look) -> Finding | None:
    tokens, ticks = look.raw["tokens"], max(1, int(look.raw["ticks"]))
    waits: dict[str, Counter[str]] = defaultdict(Counter)
    # A line forms only while slow requests pile up: the beginning of the window is left out, and
    # requests that have not come to an end count.
    settled = look.raw["began"] + _SETTLED * look.seconds
    for visit in look.everybody:
        for when, state in visit.samples:
            if when > settled:
                waits[visit.route][state.kind] += 1
    waiting = sum(each["token"] for each in waits.values())
    working = sum(each["thread"] for each in waits.values())
    full = tokens.get("full", 0) / ticks
    total = tokens.get("total", 0)
    queued = tokens.get("waiting", 0) / ticks
    executor_full = tokens.get("executor full", 0) / ticks
    if executor_full > full:
        full, total = executor_full, tokens["executor total"]
        queued = tokens["executor waiting"] / ticks
        # its waiting shows as threads at work: they are divided by what the queue tells
        part_waiting = queued / max(1e-9, queued + total)
        waiting, working = working * part_waiting, working * (1 - part_waiting)
    everything = sum(sum(each.values()) for each in waits.values())
    if not everything or waiting / everything < _LEAST_SHARE or full < _LEAST_FULL:
        return None
    if look.process_busy > 0.8 * min(usable_cores(), 1.2):
        return None  # the cores are used up: more threads would only wait for those
    # Who needs a thread for a moment and waits for it many times as long is the one that suffers.
    starved = [
        route
        for route, each in waits.items()
        if each["token"] > 3 * max(1, each["thread"]) and each["token"] >= 20
    ]
    if waiting < 2 * working and not starved:
        return None
    places = Counter({ran.outer: ran.amount for ran in look.threads() if ran.outer is not None})
    if not places:
        return None
    place = places.most_common(1)[0][0]
    holders = Counter({route: each["thread"] for route, each in waits.items()})
    route = holders.most_common(1)[0][0]

    part = share(look.visits, _for_a_token)
    suffering = [v for v in look.visits if v.route in starved]
    if executor_full > 0:
        level = waiting / everything
        part = Bound(estimate=level, low=0.8 * level, high=min(1.0, 1.2 * level))
    names = ", ".join(chart.named(each) for each in starved[:3])
    evidence = [
        Evidence(
            look="what requests wait for",
            says=f"With {look.clients} clients requests wait for a free thread {percent(part)} of "
            "their time" + (f"; nearly all of it on {names}." if names else "."),
            value=part,
        ),
        Evidence(
            look="the thread pool's own count",
            says=f"All {total:.0f} threads were taken {100 * full:.0f} % of the time, and "
            f"{queued:.0f} requests stood in line.",
            agrees=full >= _LEAST_FULL,
        ),
        Evidence(
            look="stacks of the threads",
            says=f"{100 * places[place] / max(1, sum(places.values())):.0f} % of the threads' time "
            f"passes in {place.function}; the process uses {look.process_busy:.1f} cores.",
        ),
    ]
    worst = share(suffering, _for_a_token) if suffering else part
    at_most = without(max(part, worst, key=lambda b: b.estimate), most=look.clients)
    return finding(Cause.THREADS_EXHAUSTED, chart.named(route), place, evidence, at_most)
