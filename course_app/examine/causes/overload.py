"""What only many requests show: errors, memory that grows, many loads of one thing at once."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict

import numpy as np

from course_app.examine.chart import Chart, finding, percent
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import (
    Look,
    Place,
    Visit,
    median,
    of_requests,
    ratio,
    source_of,
    without,
)

_ONE = Bound(estimate=1.0, low=1.0, high=1.0)
#: Fewer bytes a request would take days to matter.
_LEAST_GROWTH_BYTES = 200
_LEAST_WINDOW_BYTES = 600_000
_LEAST_AT_ONCE = 4
_SLOWER = 3
#: A cache spares at least this share of the requests the load.
_LEAST_WITHOUT = 0.4

#: Begin and end, by whom, and where.
Load = tuple[float, float, Visit, Place | None]


def fails_under_load(chart: Chart) -> list[Finding]:
    """Routes that answer rightly alone, and wrongly when several clients ask."""
    found = []
    for asked in chart.by_alone:
        alone = asked.visits()
        usual = of_requests(sum(v.failed for v in alone) / len(alone), len(alone))
        for look in reversed(chart.crowds):
            visits = look.of(asked.template)
            wrong = [v for v in visits if v.failed]
            level = len(wrong) / max(1, len(visits))
            if level < 0.01 or len(wrong) < 3 or level < 3 * usual.estimate:
                continue
            part = of_requests(level, len(visits))
            more = part.low > usual.high
            said = Counter(v.error[0] for v in wrong if v.error)
            places = Counter(v.error[1] for v in wrong if v.error and v.error[1])
            place = places.most_common(1)[0][0] if places else None
            seen = chart.wrong_answers(look, asked)
            evidence = [
                Evidence(
                    look="answers to the clients",
                    says=f"With {look.clients} clients {seen:,} answers were wrong; with one "
                    f"client {percent(usual)}{'' if more else ', of too few to tell'}.",
                    agrees=seen > 0,
                ),
                Evidence(
                    look="exceptions in the app",
                    says=f"{percent(part)} of the requests failed in the app"
                    + (f": {said.most_common(1)[0][0]}." if said else ", with status 500."),
                    value=part,
                    agrees=bool(said),
                ),
            ]
            found.append(
                finding(
                    *(Cause.FAILS_UNDER_LOAD, asked.name, place, evidence, _ONE), confirmed=more
                )
            )
            break
    return found


def after_answers(chart: Chart) -> list[str]:
    """A sentence for each route whose answers are right, and which raises once they are sent."""
    notes = []
    looks = [*(a.alone for a in chart.by_alone if a.alone is not None), *chart.crowds]
    for route in dict.fromkeys(asked.template for asked in chart.by_alone):
        visits = [visit for look in looks for visit in look.of(route)]
        late = Counter(visit.late_error for visit in visits if visit.late_error)
        if late:
            notes.append(
                f"What {chart.named(route)} does after its answers was not looked at: in "
                f"{late.total():,} of {len(visits):,} requests it raised an exception "
                f"({late.most_common(1)[0][0]}), which no client sees."
            )
    return notes


def growing_memory(chart: Chart) -> list[Finding]:
    """The process grows by as much in each window, and one line's allocations stay."""
    growth = chart.growth
    if growth is None or len(growth.rss) < 4:
        return []
    steps = np.diff(np.array(growth.rss, dtype=float))
    middle = float(np.median(steps))
    each = middle / growth.requests
    steady = bool(np.all(steps > 0.35 * middle)) and steps[-1] > 0.5 * middle
    if each < _LEAST_GROWTH_BYTES or middle < _LEAST_WINDOW_BYTES or not steady:
        return []
    evidence = [
        Evidence(
            look="memory of the process",
            says=f"In {len(steps)} windows of {growth.requests:,} requests with new values each it "
            f"grew by {', '.join(f'{step / 1e6:.1f}' for step in steps)} MB and never shrank: "
            f"{each / 1e3:.1f} kB for each request.",
        )
    ]
    lines = [
        line
        for line in growth.lines
        if min(line[3]) >= 0.4 * max(line[3]) and min(line[3]) >= 0.15 * each * growth.requests / 4
    ]
    place = None
    if lines:
        file, line, code, grown = max(lines, key=lambda each: sum(each[3]))
        place = Place(file, line, _function(file, line), line, code)
        evidence.append(
            Evidence(
                look="where living memory was allocated",
                says=f"What this line allocated grew by {sum(grown) / 1e6:.1f} MB in "
                f"{len(grown)} further windows.",
            )
        )
    route = _route_of(chart, place)
    return [finding(Cause.GROWING_MEMORY, route, place, evidence, _ONE)]


def _function(file: str, line: int) -> str:
    try:
        tree = ast.parse(source_of(file))
    except (SyntaxError, ValueError):
        return ""
    best = ""
    for node in ast.walk(tree):
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if inside and node.lineno <= line <= (node.end_lineno or node.lineno):  # type: ignore[attr-defined]
            best = node.name  # type: ignore[attr-defined]  # the innermost comes last
    return best


def _route_of(chart: Chart, place: Place | None) -> str:
    if len(chart.asked) == 1 or place is None:
        return ", ".join(asked.name for asked in chart.asked)
    for asked in chart.asked:
        endpoint = asked.encoding.get("endpoint")
        if (
            endpoint
            and endpoint["file"] == place.file
            and endpoint["function"].endswith(place.function)
        ):
            return asked.name
    return ", ".join(asked.name for asked in chart.asked)


def stampede(chart: Chart) -> list[Finding]:
    """Most requests do without a load; then many begin the same one at the same time."""
    for look in reversed(chart.crowds):
        found = []
        for asked in chart.by_alone:
            each = _stampede(chart, look, asked.template)
            if each is not None:
                found.append(each)
        if found:
            return found
    return []


def _loads(visits: list[Visit]) -> dict[object, list[Load]]:
    """Loads by what they load: the same statement with the same values, or the same line."""
    found: dict[object, list[Load]] = defaultdict(list)
    for visit in visits:
        said = False
        for call in visit.calls:
            if call.kind in ("sql", "http") and call.asks:
                said = True
                key = (call.text, call.same, call.place)
                found[key].append((call.begin, call.end, visit, call.place))
        if said:
            continue
        loading = [
            (when, s)
            for when, s in visit.samples
            if s.kind in ("sleep", "thread", "other", "mongo")
        ]
        if len(loading) >= 2:
            place = loading[0][1].place
            found[(visit.path, place)].append((loading[0][0], loading[-1][0], visit, place))
    return found


def _stampede(chart: Chart, look: Look, route: str) -> Finding | None:
    visits = look.of(route)
    if len(visits) < 30:
        return None
    alone = next(asked.visits() for asked in chart.asked if asked.template == route)
    for loads in _loads(visits).values():
        if len(loads) < 2 * _LEAST_AT_ONCE:
            continue
        # Where a load outlasts what it fills, a crowd has no request left that does without it;
        # one client has.
        others = _without([load[2] for load in loads], visits) or _without(
            [load[2] for each in _loads(alone).values() for load in each], alone
        )
        slow = median([end - begin for begin, end, _, _ in loads])
        if not others or slow < 0.003 or slow < 3 * median([v.seconds for v in others]):
            continue
        bursts = _bursts(loads)
        at_once = median([float(len(b)) for b in bursts])
        if len(bursts) < 2 or at_once < _LEAST_AT_ONCE:
            continue
        return _found(chart, look, route, loads, bursts, visits)
    return None


def _without(loading: list[Visit], visits: list[Visit]) -> list[Visit]:
    """The visits that did without a load; none if they are the fewer."""
    known = {id(visit) for visit in loading}
    others = [visit for visit in visits if id(visit) not in known]
    return others if len(others) >= _LEAST_WITHOUT * len(visits) else []


def _bursts(loads: list[Load]) -> list[list[Load]]:
    """Loads that begin before the first one of theirs has ended: it could have served them all."""
    bursts: list[list[Load]] = []
    end = 0.0
    for load in sorted(loads, key=lambda each: each[0]):
        if load[0] > end:
            bursts.append([])
            end = load[1]
        bursts[-1].append(load)
    return bursts


def _found(
    chart: Chart,
    look: Look,
    route: str,
    loads: list[Load],
    bursts: list[list[Load]],
    visits: list[Visit],
) -> Finding:
    asked_alone = next(a.alone for a in chart.asked if a.template == route and a.alone is not None)
    at_once = median([float(len(b)) for b in bursts])
    loading = {id(load[2]) for load in loads}
    part = ratio(
        [
            (visit.seconds * (id(visit) in loading), visit.seconds)
            for visit in sorted(visits, key=lambda each: each.end)
        ]
    )
    places = Counter(load[3] for load in loads if load[3] is not None)
    place = places.most_common(1)[0][0] if places else None
    share_of = len(loading) / len(visits)
    evidence = [
        Evidence(
            look="loads of the same thing",
            says=f"With {look.clients} clients {100 * share_of:.1f} % of the requests load "
            f"something that the others do without, and in {len(bursts)} bursts: {at_once:.0f} "
            "begin the same load before the first one has ended.",
        ),
        Evidence(
            look="answers to the clients",
            says=f"One answer in twenty takes {look.load.percentile(95):.0f} ms and more, one in "
            f"twenty {look.load.percentile(5):.1f} ms at most; with one client half of them take "
            f"{asked_alone.load.percentile(50):.1f} ms.",
            agrees=bool(
                look.load.percentile(95)
                > _SLOWER * min(look.load.percentile(5), asked_alone.load.percentile(50))
            ),
        ),
    ]
    return finding(
        Cause.STAMPEDE, chart.named(route), place, evidence, without(part, most=look.clients)
    )
