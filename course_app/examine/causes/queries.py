"""What a request asks its database, and how that carries it out."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from course_app.examine.chart import Asked, Chart, finding, percent, relieved, share_of_time
from course_app.examine.findings import Bound, Cause, Evidence, Finding
from course_app.examine.seen import Call, Span, Visit, median, share

_LEAST_REPEATS = 5
#: Of a request's time, as far as the interval reaches; but half of it at least.
_LEAST_SHARE = 0.2
#: So many rows are read in vain before a scan is worth an index.
_LEAST_ROWS = 1000
_LEAST_RATIO = 20
_OFFSET = re.compile(r"\boffset\b", re.IGNORECASE)


def n_plus_one(chart: Chart) -> list[Finding]:
    """The same statement again and again in one request, as often as another one gave rows."""
    found = []
    for asked in chart.by_alone:
        visits = asked.visits()
        repeated = Counter(key for v in visits for key in _keys(v))
        if not repeated:
            continue
        key, count = repeated.most_common(1)[0]
        each = count / len(visits)
        if each < _LEAST_REPEATS:
            continue
        part = share(visits, partial(_repeats, key))
        if _is_small(part):
            continue
        kind, text, place = key
        grows = _grows(visits, key)
        # A pool's part and the handler's own are paid for each of them, too.
        stretch = share_of_time(visits, partial(_stretch, key))
        at_most = relieved(chart, asked, partial(_stretch, key))
        evidence = [
            Evidence(
                look="calls of the client library",
                says=f"Each request sends this {(kind == 'sql' and 'statement') or 'command'} "
                f"{each:.0f} times, with other values: {_short(text)}. All but one "
                f"take {percent(part)} of the request's time; from the first to the last of them "
                f"it is {percent(stretch)}.",
                value=part,
            ),
            Evidence(
                look="rows and calls",
                says=f"In {100 * grows:.0f} % of the requests it was sent as often as an earlier "
                "statement gave rows.",
                agrees=grows >= 0.7,
            ),
        ]
        counted = _executed(chart, asked, text) if kind == "sql" else None
        if counted is not None:
            evidence.append(
                Evidence(
                    look="the server's own count",
                    says=f"PostgreSQL carried it out {counted:.0f} times for each request.",
                    agrees=counted >= 0.5 * each,
                )
            )
        found.append(finding(Cause.N_PLUS_ONE, asked.name, place, evidence, at_most))
    return found


def _is_small(part: Bound) -> bool:
    return part.high < _LEAST_SHARE or part.estimate < _LEAST_SHARE / 2


def _keys(visit: Visit) -> list[Any]:
    asking = (c for c in visit.calls if c.kind in ("sql", "redis") and c.asks)
    counted = Counter((c.kind, c.text, c.place) for c in asking)
    return [key for key, n in counted.items() if n >= _LEAST_REPEATS for _ in range(n)]


def _repeats(key: Any, visit: Visit) -> tuple[float, float]:
    return _all_but_one(visit, key), visit.seconds


def _taken(text: str, visit: Visit) -> list[Call]:
    return [c for c in visit.calls if c.text == text]


def _all_but_one(visit: Visit, key: Any) -> float:
    times = [c.seconds for c in visit.calls if (c.kind, c.text, c.place) == key]
    return sum(times) - max(times, default=0.0)


def _stretch(key: Any, visit: Visit) -> list[Span]:
    """From the first of them to the end of the last, without the longest: what to save."""
    same = [c for c in visit.calls if (c.kind, c.text, c.place) == key]
    if not same:
        return []
    longest = max(same, key=lambda call: call.seconds)
    first, last = min(same, key=lambda c: c.begin), max(same, key=lambda c: c.end)
    return [
        Span(first.begin, longest.begin, first.begin_cpu, longest.begin_cpu, first.thread),
        Span(longest.end, last.end, longest.end_cpu, last.end_cpu, longest.thread),
    ]


def _grows(visits: list[Visit], key: Any) -> float:
    def fits(visit: Visit) -> bool:
        same = [c for c in visit.calls if (c.kind, c.text, c.place) == key]
        if not same:
            return False
        earlier = [c.rows for c in visit.calls if c.begin < same[0].begin and c.rows > 1]
        return any(abs(rows - len(same)) <= max(1, 0.1 * rows) for rows in earlier) or (
            len({c.same for c in same}) >= 0.5 * len(same)
        )

    return sum(map(fits, visits)) / max(1, len(visits))


def _executed(chart: Chart, asked: Asked, text: str) -> float | None:
    """How often the server carried a statement out for one request; None if nobody counted."""
    if chart.executed is None:
        return None
    wanted = _normal(text)
    counted = sum(n for each, n in chart.executed.items() if _normal(each) == wanted)
    return chart.per_request(counted, asked, partial(_sent, text))


def _sent(text: str, asked: Asked) -> float:
    """How often a request of a route sends a statement."""
    visits = asked.visits()
    return sum(len(_taken(text, visit)) for visit in visits) / max(1, len(visits))


def _normal(text: str) -> str:
    """Without what differs between how a client and PostgreSQL's statistics write a statement."""
    text = re.sub(r"(%\(\w+\)s|%s|\$\d+|'[^']*'|\b\d+\b)(::\w+)?", "?", text)
    return " ".join(text.lower().split()).rstrip(";")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:119]}…"


def by_plan(chart: Chart) -> list[Finding]:
    """Statements whose plan reads far more rows than it gives, by a scan or to skip them."""
    found = []
    for asked in chart.by_alone:
        visits = asked.visits()
        for text in {c.text: None for v in visits for c in v.calls if c.kind == "sql"}:
            plan = next((p for t, p in chart.plans.items() if t[:2000] == text), None)
            if not isinstance(plan, dict):
                continue
            calls = [c for v in visits for c in v.calls if c.text == text]
            part = share_of_time(visits, partial(_taken, text))
            if _is_small(part):
                continue
            each = _deep(chart, asked, plan, calls, part) or _scan(chart, asked, plan, calls, part)
            if each is not None:
                found.append(each)
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)


def _time(explained: dict[str, Any]) -> float:
    return float(explained.get("Execution Time", math.nan))


def _deep(
    chart: Chart, asked: Asked, plan: dict[str, Any], calls: list[Call], part: Bound
) -> Finding | None:
    text = calls[0].text
    if not _OFFSET.search(text) or "near" not in plan:
        return None
    skipped = []
    for explained in plan["plans"]:
        for node in _nodes(explained["Plan"]):
            if node["Node Type"] == "Limit" and node.get("Plans"):
                skipped.append(node["Plans"][0]["Actual Rows"] - node["Actual Rows"])
                break
    if not skipped or median(skipped) < _LEAST_ROWS:
        return None
    here, near = (median([_time(e) for e in plan[key]]) for key in ("plans", "near"))
    saved = max(0.0, 1 - near / here)
    evidence = [
        Evidence(
            look="EXPLAIN ANALYZE",
            says=f"PostgreSQL reads and throws away {median(skipped):,.0f} rows before the page: "
            f"{_short(text)}. The statement takes {percent(part)} of the request's time.",
            value=part,
        ),
        Evidence(
            look="the same statement from the first row on",
            says=f"Without its OFFSET it takes {near:.2f} ms instead of {here:.2f} ms.",
            agrees=near < 0.6 * here,
        ),
    ]
    at_most = relieved(chart, asked, partial(_skipping, text, saved))
    return finding(Cause.DEEP_OFFSET, asked.name, calls[0].place, evidence, at_most)


def _skipping(text: str, saved: float, visit: Visit) -> list[Span]:
    """The share of the statement that is the skipping; the app itself works as before."""
    return [
        Span(c.begin, c.begin + saved * c.seconds, 0.0, 0.0, c.thread) for c in _taken(text, visit)
    ]


def _scan(
    chart: Chart, asked: Asked, plan: dict[str, Any], calls: list[Call], part: Bound
) -> Finding | None:
    worst: tuple[float, str, str] | None = None
    for explained in plan["plans"]:
        for node in _nodes(explained["Plan"]):
            found = _in_vain(node)
            if found is not None and (worst is None or found[0] > worst[0]):
                worst = found
    if worst is None:
        return None
    rows, table, why = worst
    evidence = [
        Evidence(
            look="EXPLAIN ANALYZE",
            says=f"PostgreSQL reads {rows:,.0f} rows of {table} in vain ({why}): "
            f"{_short(calls[0].text)}. The statement takes {percent(part)} of the request's time.",
            value=part,
        )
    ]
    counted = _scanned(chart, asked, table, calls[0].text)
    if counted is not None:
        evidence.append(
            Evidence(
                look="the server's own count",
                says=f"By its statistics {counted:,.0f} rows of {table} are read by scans for each "
                "request.",
                agrees=counted >= 0.3 * rows,
            )
        )
    at_most = relieved(chart, asked, partial(_taken, calls[0].text))
    return finding(Cause.MISSING_INDEX, asked.name, calls[0].place, evidence, at_most)


def _scanned(chart: Chart, asked: Asked, table: str, text: str) -> float | None:
    """Rows of a table that scans read for one request; None if nobody counted."""
    if chart.scanned is None:
        return None
    return chart.per_request(chart.scanned.get(table, 0.0), asked, partial(_sent, text))


def _in_vain(node: dict[str, Any]) -> tuple[float, str, str] | None:
    loops = max(1.0, float(node.get("Actual Loops", 1)))
    given = float(node.get("Actual Rows", 0)) * loops
    kind = node["Node Type"]
    if "Seq Scan" in kind:
        removed = float(node.get("Rows Removed by Filter", 0)) * loops
        if removed >= _LEAST_ROWS and removed >= _LEAST_RATIO * max(1.0, given):
            return removed, node["Relation Name"], f"filter {_short(node.get('Filter', ''))}"
    if kind == "Limit":  # a sort of everything for a few rows
        for child in _nodes(node):
            if child["Node Type"] != "Sort" or not child.get("Plans"):
                continue
            below = child["Plans"][0]
            if "Seq Scan" not in below["Node Type"]:
                continue
            read = float(below["Actual Rows"]) * max(1.0, float(below["Actual Loops"]))
            if read >= _LEAST_ROWS and read >= _LEAST_RATIO * max(1.0, given):
                return read, below["Relation Name"], f"sort by {', '.join(child['Sort Key'])}"
    return None
