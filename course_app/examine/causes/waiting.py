"""What requests wait for each other for: connections of a pool, locks."""

from __future__ import annotations

from collections import Counter

from course_app.examine.chart import Asked, Chart, finding, percent
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import Look, Place, Ran, State, Visit, of_ticks, share, without
from course_app.measure.statistics import WORTH_A_CHANGE
from course_app.system.cores import usable_cores

_LEAST_SHARE = 0.3
#: Of the time that somebody has a connection, so much without using it.
_LEAST_IDLE = 0.4
#: Of the time that somebody stands in a line which never gets short.
_LEAST_LINED_UP = 0.5
#: Of those who have waited, so many then do what takes its time.
_LEAST_HOLDING = 0.3
_TAKES_NO_TIME = ("lock", "ready", "running", "body")
#: States in which a connection works for its request, or in which that only has to wait for its
#: turn on a loop that others keep busy.
_BUSY = ("sql", "redis", "mongo", "connect", "ready")


def _waited(kind: str, visits: list[Visit]) -> Bound:
    return share(visits, lambda v: (sum(s.kind == kind for _, s in v.samples), len(v.samples)))


def pool_wait(chart: Chart) -> list[Finding]:
    """Requests wait for a connection, while those who have one do something else with it."""
    for look in reversed(chart.crowds):
        for asked in chart.by_alone:
            if (found := _pool_wait(look, asked)) is not None:
                return [found]
    return []


def _pool_wait(look: Look, asked: Asked) -> Finding | None:
    visits = look.of(asked.template)
    states = look.waits(visits)
    part = _waited("pool", visits)
    if sum(states.values()) < 40 or part.estimate < _LEAST_SHARE:
        return None
    holding = _holding(visits)
    idle = Counter({s: n for s, n in holding.items() if s.kind not in _BUSY})
    idle_share = sum(idle.values()) / max(1, sum(holding.values()))
    if idle_share < _LEAST_IDLE:
        return None
    waited = next((s for s, _ in states.most_common() if s.kind == "pool" and s.own), None)
    state = idle.most_common(1)[0][0]
    place = _holding_place(state, waited) or (waited.place if waited is not None else None)
    evidence = [
        _wait_seen(look, part, waited),
        Evidence(
            look="what holders do meanwhile",
            says=f"Who has a connection does not use it {100 * idle_share:.0f} % of the time, but "
            f"is at {state.kind}"
            + (f" in {place.function} ({place.file}:{place.line})." if place else "."),
        ),
        *_sessions(look),
    ]
    at_most = without(part, most=look.clients)
    # A pool is waited for now and then on a busy machine, too.
    costs = at_most.low >= WORTH_A_CHANGE
    return finding(Cause.POOL_WAIT, asked.name, place, evidence, at_most, confirmed=costs)


def _wait_seen(look: Look, part: Bound, waited: State | None) -> Evidence:
    place = waited.place if waited is not None else None
    return Evidence(
        look="what requests wait for",
        says=f"With {look.clients} clients requests wait for a connection of the pool "
        f"{percent(part)} of their time" + (f" ({place.file}:{place.line})." if place else "."),
        value=part,
    )


def _sessions(look: Look) -> list[Evidence]:
    """What the database saw of the app's sessions; nothing where nobody looked."""
    active, others = look.sessions["active"], look.sessions["other"]
    if not active + others:
        return []
    ratio = active / (active + others)
    return [
        Evidence(
            look="the server's own count",
            says=f"Of the app's sessions {100 * ratio:.0f} % were at work in PostgreSQL, the "
            "others waited for the app.",
            agrees=ratio < 0.5,
        )
    ]


def _holding(visits: list[Visit]) -> Counter[State]:
    """What requests did from the moment they had waited for the pool to their last statement."""
    counted: Counter[State] = Counter()
    for visit in visits:
        last = max((c.end for c in visit.calls if c.kind == "sql"), default=visit.end)
        since = max((when for when, s in visit.samples if s.kind == "pool"), default=None)
        if since is None:
            continue
        for when, state in visit.samples:
            if since < when <= last:
                counted[state] += 1
    return counted


def _holding_place(state: State, waited: State | None) -> Place | None:
    """The line at which a holder does something else, in the function that both ways lead through.

    That is the innermost one which also leads to where the connection was waited for. A layer
    leads to both by one line: then it is the step within; if a dependency took it, the handler.
    """
    lines = {place.body: place.line for place in waited.own} if waited is not None else {}
    for number, place in enumerate(state.own):
        if place.body in lines:
            same = lines[place.body] == place.line
            return state.own[max(0, number - 1)] if same else place
    return state.own[-1] if state.own else None


def lock_contention(chart: Chart) -> list[Finding]:
    """Requests stand in line for a lock, and more clients get no more done."""
    for look in reversed(chart.crowds):
        found = []
        for asked in chart.by_alone:
            visits = look.of(asked.template)
            part = _waited("lock", visits)
            if part.estimate < _LEAST_SHARE or len(visits) < 8:
                continue
            if _lined_up(visits) < _LEAST_LINED_UP or _hold(visits) < _LEAST_HOLDING:
                continue  # all wait for one load, and then for nothing: single flight
            states = look.waits(visits)
            place = next((s.place for s, _ in states.most_common() if s.kind == "lock"), None)
            inside = _inside(look, visits)
            evidence = [
                Evidence(
                    look="what requests wait for",
                    says=f"With {look.clients} clients requests wait for a lock {percent(part)} of "
                    "their time.",
                    value=part,
                ),
                Evidence(
                    look="answers per second",
                    says=f"Answers per second times the time of one request alone: {inside:.1f} "
                    f"requests get on at the same time, of {look.clients}.",
                    agrees=inside < 0.4 * look.clients * chart.part_of(asked, look)
                    and look.process_busy < 0.8 * usable_cores(),
                ),
            ]
            at_most = without(part, most=look.clients)
            found.append(finding(Cause.LOCK_CONTENTION, asked.name, place, evidence, at_most))
        threads = [r for r in look.threads() if r.kind == "lock" and r.outer is not None]
        busy = sum(ran.amount for ran in look.threads())
        stuck = sum(ran.amount for ran in threads)
        if not found and busy and stuck / busy >= 0.5 and stuck / look.raw["ticks"] >= 3:
            found = _of_threads(chart, look, threads, stuck / busy)
        if found:
            return found
    return []


def _lined_up(visits: list[Visit]) -> float:
    """The share of the moments at which some request was seen to wait for a lock."""
    moments: dict[float, bool] = {}
    for visit in visits:
        for when, state in visit.samples:
            moments[when] = moments.get(when, False) or state.kind == "lock"
    return sum(moments.values()) / max(1, len(moments))


def _hold(visits: list[Visit]) -> float:
    """The share of those in the line that do something with the lock, and not only look again."""
    waited = holding = 0
    for visit in visits:
        since = next((when for when, state in visit.samples if state.kind == "lock"), None)
        if since is None:
            continue
        waited += 1
        holding += any(call.begin >= since for call in visit.calls) or any(
            when > since and state.kind not in _TAKES_NO_TIME for when, state in visit.samples
        )
    return holding / max(1, waited)


def _of_threads(chart: Chart, look: Look, threads: list[Ran], level: float) -> list[Finding]:
    place = Counter({ran.inner: ran.amount for ran in threads}).most_common(1)[0][0]
    routes = Counter(v.route for v in look.visits for _, s in v.samples if s.kind == "thread")
    if not routes:
        return []
    route = routes.most_common(1)[0][0]
    busy = sum(ran.amount for ran in look.threads())
    part = of_ticks(level, busy, look)
    inside = busy * (1 - level) / max(1, int(look.raw["ticks"]))
    evidence = [
        Evidence(
            look="stacks of the threads",
            says=f"With {look.clients} clients threads wait for a lock {percent(part)} of the "
            "time.",
            value=part,
        ),
        Evidence(
            look="answers per second",
            says=f"Answers per second times the time of one request alone: {inside:.1f} requests "
            f"get on at the same time, of {look.clients}.",
            agrees=inside < 0.4 * look.clients,
        ),
    ]
    at_most = without(part, most=look.clients)
    return [finding(Cause.LOCK_CONTENTION, chart.named(route), place, evidence, at_most)]


def _inside(look: Look, visits: list[Visit]) -> float:
    """Little (1961): how many requests get on at the same time; waiting for locks left out."""
    counted = Counter(s.kind == "lock" for v in visits for _, s in v.samples)
    return counted[False] / max(1, int(look.raw["ticks"])) * _thinned(look)


def _thinned(look: Look) -> float:
    """The sampler looks at some of many requests only."""
    return float(look.raw["in_flight"]) / max(1, int(look.raw["looked_at"]))
