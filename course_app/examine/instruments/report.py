"""A window of load as plain data: what the instruments saw, with places of code in one table."""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import textwrap
import time
from collections.abc import Hashable
from typing import Any

from course_app.examine.instruments import calls
from course_app.examine.instruments.code import Step
from course_app.examine.instruments.sampler import Sampler
from course_app.examine.instruments.visits import Span, Visit, Visits, route_of

_TEXT_CHARACTERS = 2000
_KEPT_ARGUMENTS = 12
#: So many lags are sent; more are thinned out.
_MOST_LAGS = 2000


class Window:
    """Starts and stops all instruments together, and writes down what they saw."""

    def __init__(self, visits: Visits, sampler: Sampler) -> None:
        self._visits, self._sampler = visits, sampler
        #: For each statement's text some of the arguments it came with, for EXPLAIN.
        self.kept: dict[str, list[Any]] = {}

    def start(self, period_seconds: float) -> None:
        """Begin a window."""
        calls.forget()
        self._visits.done = []
        self._visits.keep = True
        self._began = time.perf_counter()
        self._cpu = time.process_time()
        self._sampler.start(period_seconds)

    def stop(self) -> dict[str, Any]:
        """End it; all that was seen."""
        cpu = time.process_time() - self._cpu
        ended = time.perf_counter()
        self._sampler.stop()
        self._visits.keep = False
        visits = [*self._visits.done, *(v for v in list(self._visits.current))]
        self._visits.done = []
        return self._described(visits, ended, cpu)

    def _described(self, visits: list[Visit], ended: float, cpu: float) -> dict[str, Any]:
        places, texts = Table(), Table()
        sampler = self._sampler
        lags = sampler.lags[:: max(1, len(sampler.lags) // _MOST_LAGS)]
        return {
            "seconds": ended - self._began,
            "began": self._began,
            "ticks": sampler.ticks,
            "visits": [self._visit(visit, places, texts) for visit in visits],
            "states": [[k, [places.of(step) for step in own]] for k, own in sampler.states],
            "busy": _counted(sampler.busy, places),
            "held": _counted(sampler.held, places),
            "threads": [
                [kind, places.of(outer), places.of(inner), n]
                for (kind, outer, inner), n in sampler.threads.items()
            ],
            "tokens": dict(sampler.tokens),
            "in_flight": sampler.in_flight,
            "looked_at": sampler.looked_at,
            "lags": [[due, late] for due, late in lags],
            "process_cpu": cpu - sampler.cpu_seconds,
            "texts": texts.keys,
            "places": [place_of(step) for step in places.keys],
            "sources": _unwritten(places),
            "missing": list(calls.missing),
        }

    def _visit(self, visit: Visit, places: Table, texts: Table) -> list[Any]:
        statements = []
        for each in list(visit.statements):
            text = each.text[:_TEXT_CHARACTERS]
            try:
                same = hash(repr(each.args))
            except Exception:
                same = 0
            if each.kind == "sql":
                kept = self.kept.setdefault(each.text, [])
                if len(kept) < _KEPT_ARGUMENTS:
                    kept.append(each.args)
            statements.append(
                [
                    *(_span(each), each.kind, texts.of(text), same, each.rows),
                    *(places.of(each.place), _number(each.args)),
                ]
            )
        error = None
        if visit.error is not None:
            said, steps = visit.error
            own = [step for step in steps if _of_user(step)]
            # Of a task after the answer no client knows; an answer of 500 tells of its exception.
            late = visit.complete and visit.status < 500
            error = [said, places.of(own[-1] if own else None), late]
        return [
            *(
                visit.route or route_of(visit.scope or {}),
                visit.path,
                visit.begin,
                visit.end,
                visit.status,
            ),
            [[when, state] for when, state in visit.samples],
            statements,
            [[_span(c), c.kind, c.opens, c.awaited, places.of(c.place)] for c in visit.connects],
            visit.work,
            error,
        ]


class Table:
    """Numbers for values, from 0; -1 for None."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def of(self, key: Hashable) -> int:
        """The value's number."""
        if key is None:
            return -1
        if key not in self._numbers:
            self._numbers[key] = len(self.keys)
            self.keys.append(key)
        return self._numbers[key]


def _span(of: Span) -> list[float]:
    return [of.begin, of.end, of.begin_cpu, of.end_cpu, of.thread]


def _of_user(step: Step) -> bool:
    from course_app.examine.instruments.code import users

    return users(step[0])


def _number(args: Any) -> float | None:
    """The greatest number among a statement's arguments: what an OFFSET would be."""
    values = args.values() if isinstance(args, dict) else args
    if not isinstance(values, list | tuple) and not isinstance(args, dict):
        return None
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return float(max(numbers)) if numbers else None


def _counted(counter: Any, places: Table) -> list[list[Any]]:
    return [
        [route, kind, places.of(outer), places.of(inner), n]
        for (route, kind, outer, inner), n in counter.items()
    ]


def place_of(step: Step) -> dict[str, Any]:
    """A line of code, as plain data."""
    code, line = step
    text = linecache.getline(code.co_filename, line).strip()
    return {
        "file": code.co_filename,
        "line": line,
        "function": code.co_qualname.rpartition("<locals>.")[2],
        "first": code.co_firstlineno,
        "code": text[:200],
    }


def _unwritten(places: Table) -> dict[str, str]:
    """The source of files that are on no disk: of code that was made while the app ran."""
    files = {code.co_filename for code, _ in places.keys}
    return {
        file: text
        for file in files
        if not os.path.exists(file) and (text := "".join(linecache.getlines(file)))
    }


def endpoint_of(endpoint: Any) -> dict[str, Any] | None:
    """Where a route's handler begins."""
    code = getattr(endpoint, "__code__", None)
    if code is None:
        return None
    return place_of((code, _last_return(endpoint) or code.co_firstlineno))


def _last_return(function: Any) -> int:
    """The line that gives the answer; 0 if the source is not there."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return 0
    found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Return)]
    return first + max(found) - 1 if found else 0
