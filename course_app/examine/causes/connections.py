"""Connections that are opened for a request and thrown away with it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import partial

from course_app.examine.chart import Asked, Chart, finding, percent, relieved, share_of_time
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import Call, Connect, Look, Span, Visit

_NAMES = {"sql": "the database", "redis": "Valkey", "http": "another server", "mongo": "MongoDB"}
#: What drivers ask for of their own accord when they have connected.
_GREETINGS = re.compile(r"pg_catalog\.|\bcurrent_schema\(\)|^\s*show\b", re.IGNORECASE)
_LEAST_PER_REQUEST = 0.4
_LEAST_SHARE = 0.15


def connection_per_request(chart: Chart) -> list[Finding]:
    """The app opens connections in its requests, and the server counts as many."""
    found = []
    for asked in chart.by_alone:
        visits = asked.visits()
        opened = Counter(c.kind for v in visits for c in v.connects if c.opens)
        if not opened:
            continue
        kind = opened.most_common(1)[0][0]
        each = _opened(kind, asked)
        part = share_of_time(visits, partial(_taken, kind))
        if each < _LEAST_PER_REQUEST or part.estimate < _LEAST_SHARE:
            continue
        places = Counter(
            c.place for v in visits for c in v.connects if c.kind == kind and c.opens and c.place
        )
        place = places.most_common(1)[0][0] if places else None
        evidence = [
            Evidence(
                look="calls of the client library",
                says=f"Each request opens {each:.1f} connections to {_NAMES[kind]}; opening "
                f"and closing them takes {percent(part)} of its time.",
                value=part,
            )
        ]
        server = {"sql": chart.sessions, "redis": chart.valkey_connections}.get(kind)
        counted = None
        if server is not None:
            counted = chart.per_request(server, asked, partial(_opened, kind))
        if counted is not None:
            evidence.append(
                Evidence(
                    look="the server's own count",
                    says=f"The server counted {counted:.1f} new connections for each request.",
                    agrees=counted >= _LEAST_PER_REQUEST * each * _answered(chart),
                )
            )
        waits = [_crowded(look, asked.template, kind) for look in chart.crowds]
        crowded = [each for each in waits if each is not None]
        if crowded and counted is None:
            evidence.append(
                Evidence(
                    look="what requests wait for",
                    says=f"Under load, requests spend {percent(crowded[-1])} of their time on it.",
                    value=crowded[-1],
                    agrees=crowded[-1].estimate >= _LEAST_SHARE,
                )
            )
        at_most = relieved(chart, asked, partial(_taken_at_most, kind))
        found.append(finding(Cause.CONNECTION_PER_REQUEST, asked.name, place, evidence, at_most))
    return found


def _opened(kind: str, asked: Asked) -> float:
    """How many connections a request of a route opens."""
    visits = asked.visits()
    opened = sum(c.kind == kind and c.opens for v in visits for c in v.connects)
    return opened / max(1, len(visits))


def _answered(chart: Chart) -> float:
    """The share of a crowd's requests without an error: a server that refuses does not count."""
    visits = [visit for look in chart.crowds for visit in look.visits]
    right = sum(visit.error is None and visit.status < 500 for visit in visits)
    return max(0.05, right / max(1, len(visits)))


def _taken(kind: str, visit: Visit) -> list[Span]:
    """The client, opening, what a driver asks first, closing."""
    mine = [c for c in visit.connects if c.kind == kind]
    calls = [c for c in visit.calls if c.kind == kind]
    # What a pool sends when it takes one back, or throws it away.
    spent: list[Span] = [*mine, *(c for c in calls if c.place is None and not c.asks)]
    opened = next((c for c in mine if c.opens), None)
    if opened is not None:
        # The driver works between its questions, too: up to the first one that is the user's.
        first = _first_of_the_users(kind, visit, opened)
        until = first.begin if first is not None else visit.end
        last = [c for c in calls if _greets(c) and opened.end <= c.begin < until]
        if last:
            end, end_cpu = last[-1].end, last[-1].end_cpu
            spent.append(Span(opened.end, end, opened.end_cpu, end_cpu, opened.thread))
    return spent


def _taken_at_most(kind: str, visit: Visit) -> list[Span]:
    """With what a new connection's first statement may take in vain, and a new client before that.

    PostgreSQL's new process has read no catalogue yet, which takes no longer than opening. A new
    client has nothing at hand: SQLAlchemy's compiles each statement again. What the user computes
    between opening and asking counts as well, what he waits for there does not.
    """
    spent = _taken(kind, visit)
    mine = [c for c in visit.connects if c.kind == kind]
    opened = next((c for c in mine if c.opens), None)
    first = opened and _first_of_the_users(kind, visit, opened)
    if opened is None or first is None:
        return spent
    made = any(not c.opens and c.begin <= opened.begin for c in mine)
    if made:
        last = max((each for each in spent if each.begin <= opened.end), key=lambda each: each.end)
        gap = Span(last.end, first.begin, last.end_cpu, first.begin_cpu, first.thread)
        if last.thread == first.thread:
            spent.append(replace(gap, end=gap.begin + gap.cpu))
    end = min(first.end, first.begin + opened.seconds)
    return [*spent, Span(first.begin, end, first.begin_cpu, first.end_cpu, first.thread)]


def _first_of_the_users(kind: str, visit: Visit, opened: Connect) -> Call | None:
    """None where the connection was opened within it, as Redis clients do."""
    calls = [c for c in visit.calls if c.kind == kind and c.asks and not _greets(c)]
    if any(c.begin <= opened.begin and opened.end <= c.end for c in calls):
        return None
    return next((c for c in calls if c.begin >= opened.end), None)


def _greets(call: Call) -> bool:
    return bool(_GREETINGS.search(call.text))


def _crowded(look: Look, route: str, kind: str) -> Bound | None:
    visits = [v for v in look.of(route) if v.connects]
    if len(visits) < 8:
        return None
    return share_of_time(visits, partial(_taken, kind))
