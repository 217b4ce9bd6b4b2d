"""Awaits that need nothing of each other and still come one after another."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from dataclasses import dataclass

from course_app.examine.chart import Asked, Chart, finding, percent
from course_app.examine.findings import Cause, Evidence, Finding
from course_app.examine.seen import Visit, bound, median, source_of, without

#: Shorter waits are not worth a task of their own.
_LEAST_SECONDS = 0.002
_LEAST_SHARE = 0.25
#: What cannot go on at the same time anyway, or is no waiting for somebody else.
_NOT_TOGETHER = ("sql", "pool", "lock", "token", "running", "ready", "body")

Body = tuple[str, int]


@dataclass(frozen=True)
class Step:
    """One await of a function, as its source has it."""

    line: int
    end: int
    needs: frozenset[int]
    looped: bool


def sequential_awaits(chart: Chart) -> list[Finding]:
    """The timeline shows one wait after another, and the source hands nothing from one on."""
    return [each for asked in chart.by_alone if (each := _of(asked)) is not None]


def _of(asked: Asked) -> Finding | None:
    visits = asked.visits()
    best: tuple[float, Body, list[float], dict[int, float], list[Step]] | None = None
    for body in _bodies(visits):
        steps = _steps(*body)
        if not steps:
            continue
        waits = [_waits(visit, body, steps) for visit in visits]
        spent = {step.line: median([each.get(step.line, 0.0) for each in waits]) for step in steps}
        long = {line: s for line, s in spent.items() if s >= _LEAST_SECONDS}
        calls = {s.line: _calls(visits, body, s) for s in steps if s.looped and s.line in long}
        if len(long) + sum(max(0.0, n - 1) for n in calls.values()) < 2:
            continue
        shares = [
            _saved(each, steps, calls) / v.seconds for each, v in zip(waits, visits, strict=True)
        ]
        level = median(shares)
        if level >= _LEAST_SHARE and (best is None or level > best[0]):
            best = (level, body, shares, long, steps)
    if best is None:
        return None
    _, body, shares, long, _ = best
    return _finding(asked, visits, body, shares, long)


def _finding(
    asked: Asked, visits: list[Visit], body: Body, shares: list[float], long: dict[int, float]
) -> Finding:
    part = bound([min(0.99, max(0.0, each)) for each in shares])
    place = next(
        p
        for v in visits
        for _, s in v.samples
        for p in s.own
        if p.body == body and p.line >= min(long) and p.line in long
    )
    first = min(
        (
            p
            for v in visits
            for _, s in v.samples
            for p in s.own
            if p.body == body and p.line in long
        ),
        key=lambda p: p.line,
        default=place,
    )
    lines = ", ".join(f"line {line}: {1e3 * s:.0f} ms" for line, s in sorted(long.items()))
    evidence = [
        Evidence(
            look="what requests wait for",
            says=f"Alone, a request waits here one after another ({lines}). Together they would "
            f"save {percent(part)} of its time.",
            value=part,
        ),
        Evidence(
            look="the source",
            says=f"In {first.function} none of these awaits uses what another one gave.",
        ),
    ]
    return finding(Cause.SEQUENTIAL_AWAITS, asked.name, first, evidence, without(part))


def _bodies(visits: list[Visit]) -> list[Body]:
    counted: Counter[Body] = Counter(
        place.body for v in visits for _, s in v.samples for place in s.own
    )
    return [body for body, n in counted.most_common(8) if n >= 5]


def _waits(visit: Visit, body: Body, steps: list[Step]) -> dict[int, float]:
    """Seconds that a visit waited in each await of a function."""
    found: dict[int, float] = defaultdict(float)
    times = [visit.begin, *(when for when, _ in visit.samples), visit.end]
    for index, (when, state) in enumerate(visit.samples, start=1):
        if state.kind in _NOT_TOGETHER:
            continue
        place = next((p for p in state.own if p.body == body), None)
        step = next((s for s in steps if place and s.line <= place.line <= s.end), None)
        if step is not None:
            found[step.line] += (times[index + 1] - when) / 2 + (when - times[index - 1]) / 2
    return found


def _calls(visits: list[Visit], body: Body, step: Step) -> float:
    """How many calls to other servers an await in a loop stands for."""
    return median(
        [
            float(
                sum(
                    c.place is not None
                    and c.place.body == body
                    and step.line <= c.place.line <= step.end
                    for c in v.calls
                    if c.kind not in ("sql",)
                )
                or max((n for n in _inner_calls(v)), default=1)
            )
            for v in visits
        ]
    )


def _inner_calls(visit: Visit) -> list[int]:
    return list(Counter(c.place for c in visit.calls if c.kind in ("http", "sleep")).values())


def _saved(spent: dict[int, float], steps: list[Step], calls: dict[int, float]) -> float:
    """The time on the way, less the longest way through what needs one another."""
    finished: dict[int, float] = {}
    total = longest = 0.0
    for step in steps:
        own = spent.get(step.line, 0.0)
        total += own
        if step.looped:
            own /= max(1.0, calls.get(step.line, 1.0))
        begin = max((finished.get(line, 0.0) for line in step.needs), default=0.0)
        finished[step.line] = begin + own
        longest = max(longest, finished[step.line])
    return total - longest


def _steps(file: str, first: int) -> list[Step]:
    """The awaits of a function, in the order in which they stand, with what each one needs."""
    try:
        tree = ast.parse(source_of(file))
    except (SyntaxError, ValueError):
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            begins = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if begins == first or node.lineno == first:
                reader = _Reader()
                reader.read(node.body)
                return reader.steps
    return []


class _Reader:
    """Follows values through a function's statements: which await needs which ones before it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._from: dict[str, frozenset[int]] = {}
        self._always: frozenset[int] = frozenset()
        self._loops = 0

    def read(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        if isinstance(node, ast.If | ast.While):
            needs = self._expression(node.test)
            before, self._always = self._always, self._always | needs
            self._loops += isinstance(node, ast.While)
            self.read(node.body)
            self.read(node.orelse)
            self._loops -= isinstance(node, ast.While)
            # A branch that leaves decides about all that follows.
            leaves = any(
                isinstance(each, ast.Return | ast.Raise | ast.Break | ast.Continue)
                for child in node.body + node.orelse
                for each in ast.walk(child)
            )
            self._always = before | needs if leaves else before
        elif isinstance(node, ast.For | ast.AsyncFor):
            needs = self._expression(node.iter)
            self._bind(node.target, needs)
            self._loops += 1
            self.read(node.body)
            self._loops -= 1
            self.read(node.orelse)
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                needs = self._expression(item.context_expr)
                if item.optional_vars is not None:
                    self._bind(item.optional_vars, needs)
            self.read(node.body)
        elif isinstance(node, ast.Try):
            self.read(node.body)
            for handler in node.handlers:
                self.read(handler.body)
            self.read(node.orelse)
            self.read(node.finalbody)
        else:
            self._simple(node)

    def _simple(self, node: ast.stmt) -> None:
        needs: frozenset[int] = frozenset()
        for value in ast.iter_child_nodes(node):
            if isinstance(value, ast.expr) and not isinstance(
                getattr(value, "ctx", None), ast.Store
            ):
                needs |= self._expression(value)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, needs)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            self._bind(node.target, needs)

    def _bind(self, target: ast.expr, needs: frozenset[int]) -> None:
        whole = isinstance(target, ast.Name)
        for each in ast.walk(target):
            if isinstance(each, ast.Name):
                kept = frozenset() if whole else self._from.get(each.id, frozenset())
                self._from[each.id] = needs | kept

    def _expression(self, node: ast.expr) -> frozenset[int]:
        """What an expression's value comes from; its awaits become steps."""
        if isinstance(node, ast.Await):
            inside = self._expression(node.value)
            line, end = node.lineno, node.end_lineno or node.lineno
            self.steps.append(Step(line, end, inside | self._always, self._loops > 0))
            return inside | {line}
        if isinstance(node, ast.Name):
            return self._from.get(node.id, frozenset())
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            needs: frozenset[int] = frozenset()
            for generator in node.generators:
                here = self._expression(generator.iter)
                self._bind(generator.target, here)
                needs |= here
            self._loops += 1
            for value in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                needs |= self._expression(value)
            self._loops -= 1
            return needs
        needs = frozenset()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                needs |= self._expression(child)
            elif isinstance(child, ast.keyword):
                needs |= self._expression(child.value)
        return needs
