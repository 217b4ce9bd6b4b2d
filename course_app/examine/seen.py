"""What the instruments saw in one window of load, as the causes read it."""

from __future__ import annotations

import linecache
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np

from course_app.examine.findings import MOST_TIMES, Bound, Where
from course_app.load import LoadResult
from course_app.measure.probes.postgres import is_housekeeping
from course_app.measure.statistics import CONFIDENCE, mean_interval

#: A window is cut into so many parts: as many values for an interval.
PARTS = 8


@dataclass(frozen=True)
class Place:
    """A line of the user's code; ``first`` is the first line of its function."""

    file: str
    line: int
    function: str
    first: int
    code: str

    def where(self) -> Where:
        """For a finding."""
        return Where(file=self.file, line=self.line, function=self.function, code=self.code)

    @property
    def at(self) -> tuple[str, int]:
        """Its file and line."""
        return self.file, self.line

    @property
    def body(self) -> tuple[str, int]:
        """Its function's identity."""
        return self.file, self.first


@dataclass(frozen=True)
class State:
    """What was waited for, and the user's places on the way, from the innermost out."""

    kind: str
    own: tuple[Place, ...]

    @property
    def place(self) -> Place | None:
        """The innermost."""
        return self.own[0] if self.own else None


@dataclass(frozen=True)
class Span:
    """From when to when, and likewise on the CPU clock of the thread that began it; seconds."""

    begin: float
    end: float
    begin_cpu: float
    end_cpu: float
    thread: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.end - self.begin)

    @property
    def cpu(self) -> float:
        """What its own thread worked meanwhile: with one client, for it alone.

        Never more than the time: two threads' clocks have nothing to do with each other.
        """
        return min(self.seconds, max(0.0, self.end_cpu - self.begin_cpu))


@dataclass(frozen=True)
class Call(Span):
    """A statement, a command or a request to another server."""

    kind: str
    text: str
    same: int
    rows: int
    place: Place | None
    number: float | None

    @property
    def asks(self) -> bool:
        """It asks for something, and does not only begin, end or clean up."""
        return self.kind != "sql" or not is_housekeeping(self.text)


@dataclass(frozen=True)
class Connect(Span):
    """A connection that was opened.

    With ``opens`` false what belongs to it: it was closed, or the client made that opens it.
    ``awaited``: the loop could turn meanwhile.
    """

    kind: str
    opens: bool
    awaited: bool
    place: Place | None


@dataclass
class Visit:
    """One request, as ``instruments.visits`` noted it.

    ``error`` came instead of a right answer, ``late_error`` after one, such as a background task's.
    """

    route: str
    path: str
    begin: float
    end: float
    status: int
    samples: list[tuple[float, State]]
    calls: list[Call]
    connects: list[Connect]
    work: dict[str, float]
    error: tuple[str, Place | None] | None
    late_error: str = ""

    @property
    def seconds(self) -> float:
        """How long it was in the app."""
        return max(1e-9, self.end - self.begin)

    @property
    def failed(self) -> bool:
        """It ended with an exception, or an answer that says so."""
        return self.status >= 500 or self.error is not None


@dataclass(frozen=True)
class Ran:
    """How often (or how long) something ran: its kind, the coroutine's place and the innermost."""

    route: str
    kind: str
    outer: Place | None
    inner: Place | None
    amount: float


@dataclass
class Look:
    """One window: the clients' side (``load``) and the app's."""

    clients: int
    load: LoadResult
    raw: dict[str, Any] = field(repr=False)
    sessions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for file, text in self.raw.get("sources", {}).items():
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)

    @cached_property
    def places(self) -> list[Place]:
        return [Place(**place) for place in self.raw["places"]]

    def _place(self, number: int) -> Place | None:
        return self.places[number] if number >= 0 else None

    @cached_property
    def states(self) -> list[State]:
        return [State(kind, tuple(self.places[n] for n in own)) for kind, own in self.raw["states"]]

    @cached_property
    def visits(self) -> list[Visit]:
        """All that came to an end in the window."""
        return [visit for visit in self.everybody if visit.end]

    @cached_property
    def everybody(self) -> list[Visit]:
        """Those still under way at the end as well; their ``end`` is 0."""
        texts = self.raw["texts"]
        found = []
        for route, path, begin, end, status, samples, calls, connects, work, error in self.raw[
            "visits"
        ]:
            said, step, late = error or ("", -1, False)
            found.append(
                Visit(
                    *(route, path, begin, end, status),
                    [(when, self.states[state]) for when, state in samples],
                    [
                        Call(
                            *(*_stamps(span), kind, texts[text], same, rows),
                            *(self._place(place), number),
                        )
                        for span, kind, text, same, rows, place, number in calls
                    ],
                    [
                        Connect(*_stamps(span), kind, opens, awaited, self._place(place))
                        for span, kind, opens, awaited, place in connects
                    ],
                    work,
                    (said, self._place(step)) if error and not late else None,
                    said if late else "",
                )
            )
        return found

    def of(self, route: str) -> list[Visit]:
        """The visits to one route."""
        return self.by_route.get(route, [])

    @cached_property
    def by_route(self) -> dict[str, list[Visit]]:
        found: dict[str, list[Visit]] = defaultdict(list)
        for visit in self.visits:
            found[visit.route].append(visit)
        return dict(found)

    @property
    def seconds(self) -> float:
        return float(self.raw["seconds"])

    def ran(self, table: str) -> list[Ran]:
        """``busy`` (ticks of the loop's thread) or ``held`` (seconds)."""
        return [
            Ran(route, kind, self._place(outer), self._place(inner), amount)
            for route, kind, outer, inner, amount in self.raw[table]
        ]

    def running(self) -> list[Ran]:
        """Ticks of the loop's thread and of the worker threads."""
        return [*self.ran("busy"), *self.threads()]

    def threads(self) -> list[Ran]:
        """Ticks of the worker threads."""
        return [
            Ran("", kind, self._place(outer), self._place(inner), n)
            for kind, outer, inner, n in self.raw["threads"]
        ]

    @property
    def process_busy(self) -> float:
        """The cores that the whole process used."""
        return float(self.raw["process_cpu"]) / max(1e-9, self.seconds)

    @property
    def late_seconds(self) -> float:
        """By how much the loop's timers were late in all; less than 1 ms is any loop's way."""
        return float(sum(late for _, late in self.raw["lags"] if late > 0.001))

    def waits(self, visits: Iterable[Visit]) -> Counter[State]:
        """How often each state was seen."""
        return Counter(state for visit in visits for _, state in visit.samples)


def _stamps(span: Sequence[Any]) -> tuple[float, float, float, float, int]:
    begin, end, begin_cpu, end_cpu, thread = span
    return begin, end, begin_cpu, end_cpu, thread


def source_of(file: str) -> str:
    """A file's text, also where the examined process alone had it; empty if nobody has."""
    linecache.checkcache(file)
    return "".join(linecache.getlines(file))


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of the spans went on: those at the same time count once."""
    whole, until = 0.0, -math.inf
    for begin, end in sorted(spans):
        whole += max(0.0, end - max(begin, until))
        until = max(until, end)
    return whole


def seconds_of(spans: Iterable[Span]) -> float:
    """How long they took; what went on at the same time counts once."""
    return covered((span.begin, span.end) for span in spans)


def cpu_of(spans: Iterable[Span]) -> float:
    """The CPU that they took; what went on at the same time on one thread counts once."""
    clocks: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for span in spans:
        clocks[span.thread].append((span.begin_cpu, span.begin_cpu + span.cpu))
    return sum(map(covered, clocks.values()))


def share(visits: Sequence[Visit], part: Callable[[Visit], tuple[float, float]]) -> Bound:
    """A share with its interval: ``part`` gives a visit's share as (numerator, denominator).

    The visits are cut into ``PARTS`` in the order in which they ended.
    """
    ordered = sorted(visits, key=lambda visit: visit.end)
    values = []
    for group in np.array_split(np.arange(len(ordered)), min(PARTS, max(1, len(ordered)))):
        pairs = [part(ordered[i]) for i in group]
        whole = sum(pair[1] for pair in pairs)
        if whole > 0:
            values.append(min(1.0, sum(pair[0] for pair in pairs) / whole))
    return bound(values)


def bound(values: Sequence[float]) -> Bound:
    """The mean of values with its interval; everything from 0 to 1 where there are too few."""
    if len(values) < 2:
        only = values[0] if values else 0.0
        return Bound(estimate=only, low=0.0, high=1.0)
    interval = mean_interval(values)
    low, high = max(0.0, interval.low), min(1.0, interval.high)
    return Bound(estimate=interval.estimate, low=min(low, 1.0), high=high)


def of_requests(level: float, requests: float) -> Bound:
    """A share of so many requests with its interval: Wilson (1927), which has a width at 0 and 1.

    Nothing is known of none of them: then it is everything from 0 to 1.
    """
    if requests <= 0:
        return Bound(estimate=level, low=0.0, high=1.0)
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    shrunk = 1 + z * z / requests
    middle = (level + z * z / (2 * requests)) / shrunk
    half = z / shrunk * math.sqrt(level * (1 - level) / requests + (z / (2 * requests)) ** 2)
    low, high = min(level, middle - half), max(level, middle + half)
    return Bound(estimate=level, low=max(0.0, low), high=min(1.0, high))


def of_ticks(level: float, ticks: float, look: Look) -> Bound:
    """A share of so many ticks of a window with its interval.

    Ticks within one request's work are not independent. A share of clusters varies at most as one
    of as many independent values as there are clusters (Kish, *Survey Sampling*, 1965, chapter
    5), so that requests count where ticks are more of them.
    """
    return of_requests(level, min(ticks, len(look.everybody)))


def ratio(pairs: Sequence[tuple[float, float]]) -> Bound:
    """A ratio of two sums, at most 1, with its interval; pairs in the order of time.

    Jackknife over ``PARTS`` groups (Tukey, 1958): unlike the mean of the groups' ratios it has
    the ratio of all for its middle, also where a few groups hold most of both sums. Everything
    from 0 to 1 where there are fewer pairs than groups.
    """
    tops, bottoms = (
        np.array([part.sum() for part in np.array_split(np.array(each, dtype=float), PARTS)])
        for each in ([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    )
    level = min(1.0, float(tops.sum() / max(1e-12, bottoms.sum())))
    if len(pairs) < PARTS:
        return Bound(estimate=level, low=0.0, high=1.0)
    from scipy.special import stdtrit

    left = (tops.sum() - tops) / np.maximum(1e-12, bottoms.sum() - bottoms)
    error = math.sqrt((PARTS - 1) / PARTS * float(np.sum((left - left.mean()) ** 2)))
    half = float(stdtrit(PARTS - 1, 0.5 + CONFIDENCE / 2)) * error
    return Bound(estimate=level, low=max(0.0, level - half), high=min(1.0, level + half))


def without(part: Bound, most: float = MOST_TIMES) -> Bound:
    """Amdahl (1967): what is left if a share of the time is gone; 1 / (1 - share)."""

    def times(value: float) -> float:
        return min(most, 1.0 / max(1.0 / most, 1.0 - value))

    return Bound(
        estimate=times(part.estimate),
        low=times(part.low),
        high=times(part.high),
        confidence=CONFIDENCE,
    )


def larger(*bounds: Bound) -> Bound:
    """The largest of several gains: each of its limits is the largest one's."""
    estimate, low, high = (
        max(getattr(each, name) for each in bounds) for name in ("estimate", "low", "high")
    )
    return Bound(estimate=estimate, low=low, high=high)


def median(values: Sequence[float]) -> float:
    """NaN for nothing."""
    return float(np.median(values)) if len(values) else math.nan
