"""What an examination says: findings with their evidence, best first, for people and programs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from course_app.measure.statistics import CONFIDENCE, Interval, significant

#: Shares that may be all of the time bound nothing: what such a part can gain is cut off here.
MOST_TIMES = 1000.0


class Cause(StrEnum):
    """All that a finding can name. Whatever is slow for another reason is not named."""

    BLOCKED_LOOP = "blocked_loop"
    THREADS_EXHAUSTED = "threads_exhausted"
    CONNECTION_PER_REQUEST = "connection_per_request"
    POOL_WAIT = "pool_wait"
    N_PLUS_ONE = "n_plus_one"
    MISSING_INDEX = "missing_index"
    DEEP_OFFSET = "deep_offset"
    SEQUENTIAL_AWAITS = "sequential_awaits"
    SLOW_SERIALIZATION = "slow_serialization"
    MIDDLEWARE_OVERHEAD = "middleware_overhead"
    COMPRESSION_COST = "compression_cost"
    LOCK_CONTENTION = "lock_contention"
    STAMPEDE = "stampede"
    GROWING_MEMORY = "growing_memory"
    FAILS_UNDER_LOAD = "fails_under_load"


#: For each cause: its name for readers, the lesson that teaches it, and what to do about it.
_KNOWN: dict[Cause, tuple[str, str, str]] = {
    Cause.BLOCKED_LOOP: (
        "blocked event loop",
        "02_async",
        "Await a library that can be awaited; or make the handler a plain `def`, or call what "
        "blocks with `await run_in_threadpool(...)`. Work that computes for long belongs into "
        "other processes.",
    ),
    Cause.THREADS_EXHAUSTED: (
        "threads used up",
        "02_async",
        "Await what takes long instead of holding a thread for it; or give it a thread limiter of "
        "its own, so that short calls find a free thread.",
    ),
    Cause.CONNECTION_PER_REQUEST: (
        "a connection for each request",
        "04_connection_pooling",
        "Open a pool (or one client) in the lifespan and let requests borrow from it.",
    ),
    Cause.POOL_WAIT: (
        "waiting for a connection of the pool",
        "04_connection_pooling",
        "Give the connection back before anything else is awaited. Only if all connections work "
        "all the time and the database has cores to spare, make the pool larger.",
    ),
    Cause.N_PLUS_ONE: (
        "one more query for each row",
        "05_queries",
        "Ask for all rows at once: a join, `= ANY($1)`, or `selectinload` with SQLAlchemy.",
    ),
    Cause.MISSING_INDEX: (
        "missing index",
        "05_queries",
        "Create an index on the columns that the query filters or sorts by; then look at the plan "
        "again.",
    ),
    Cause.DEEP_OFFSET: (
        "deep OFFSET",
        "05_queries",
        "Begin each page after the last key of the page before: "
        "`WHERE id > $1 ORDER BY id LIMIT n`.",
    ),
    Cause.SEQUENTIAL_AWAITS: (
        "awaits one after another",
        "02_async",
        "Await them together: `asyncio.gather(...)` or a `TaskGroup`.",
    ),
    Cause.SLOW_SERIALIZATION: (
        "slow serialization",
        "06_response_models",
        "Declare the response's type, so that pydantic writes the JSON in one go; send fewer rows "
        "or fields.",
    ),
    Cause.MIDDLEWARE_OVERHEAD: (
        "costly middleware",
        "01_baseline",
        "Write the layers as one plain ASGI middleware, or move what they do to where it is "
        "needed.",
    ),
    Cause.COMPRESSION_COST: (
        "costly compression",
        "07_compression",
        "Compress with a lower level, only once if the content stays the same, and nothing that "
        "hardly gets smaller.",
    ),
    Cause.LOCK_CONTENTION: (
        "waiting for a lock",
        "13_finding_the_bottleneck",
        "Hold the lock for the shared state only; await and compute before or after it.",
    ),
    Cause.STAMPEDE: (
        "stampede on a cache",
        "08_in_memory_cache",
        "Let one request load and the others wait for that load (single flight), or renew before "
        "the entry expires.",
    ),
    Cause.GROWING_MEMORY: (
        "growing memory",
        "08_in_memory_cache",
        "Give what is kept a limit: `functools.lru_cache(maxsize=...)`, `cachetools.TTLCache`, or "
        "Valkey with a time to live.",
    ),
    Cause.FAILS_UNDER_LOAD: (
        "fails under load",
        "04_connection_pooling",
        "Do not share between requests what serves one at a time; look at the exception's place.",
    ),
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Where(_Model):
    """A place in the user's code. ``file`` as the examined process saw it; ``code`` is the line."""

    file: str
    line: int
    function: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


class Bound(_Model):
    """An estimate with its interval."""

    estimate: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """From the statistics' own."""
        return cls(**interval.to_dict())

    @property
    def interval(self) -> Interval:
        """For verdicts and for readers."""
        return Interval(self.estimate, self.low, self.high, self.confidence)


class Evidence(_Model):
    """One look at the cause.

    Attributes:
        look: which instrument; two findings of one look do not confirm each other.
        says: a sentence that holds the number.
        value: the number with its interval, where it has one; ``unit`` may be empty.
        agrees: whether this look supports the cause (a look that does not is shown as well).
    """

    look: str
    says: str
    value: Bound | None = None
    unit: str = ""
    agrees: bool = True


class Finding(_Model):
    """One cause at one place.

    Attributes:
        route: as it was asked for, such as ``GET /users/{id}``; several are joined by commas.
        where: the place in the user's code; None where only the route is known.
        confirmed: two independent looks agree; else it is suspected.
        at_most: how many times as fast the route can get if the cause is gone altogether, for one
            client (Amdahl) or in a crowd, whichever is more. For memory and errors, which cost no
            time, 1. Its confidence is 0 where no factor can say it.
        lesson: the course's lesson about it.
    """

    cause: Cause
    route: str
    where: Where | None
    confirmed: bool
    evidence: tuple[Evidence, ...]
    at_most: Bound
    lesson: str

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes that it concerns; the bound is the first one's."""
        return tuple(self.route.split(", "))

    @property
    def title(self) -> str:
        """The cause in words."""
        return _KNOWN[self.cause][0]

    @property
    def advice(self) -> str:
        """What to do about it."""
        return _KNOWN[self.cause][2]

    @property
    def gain(self) -> str:
        """``at_most 9.1x [8.2, 10]`` in words; empty for what no factor can say."""
        costs_no_time = self.cause in (Cause.GROWING_MEMORY, Cause.FAILS_UNDER_LOAD)
        if costs_no_time or self.at_most.confidence <= 0:
            return ""
        times = self.at_most.interval.times
        if self.at_most.high >= MOST_TIMES:
            times = f"{times.rpartition(',')[0]}, no limit] times"
        return f"at most {times} as fast without it"


def lesson_of(cause: Cause) -> str:
    """The lesson about a cause."""
    return _KNOWN[cause][1]


class RouteReport(_Model):
    """How one route answered.

    Attributes:
        p50_ms: median latency by the number of clients that asked at the same time.
        throughput: answers per second, likewise.
        errors: wrong answers, likewise; ``example`` is one of them.
    """

    route: str
    p50_ms: dict[int, float | None] = Field(default_factory=dict)
    throughput: dict[int, float] = Field(default_factory=dict)
    errors: dict[int, int] = Field(default_factory=dict)
    example: str = ""


class Change(_Model):
    """What became of one cause on a route in the other version.

    Attributes:
        what: ``gone``, ``new``, ``still``, or ``cannot tell``.
        why: what it takes to tell, and was not there; empty for all but ``cannot tell``.
    """

    cause: Cause
    route: str
    what: str
    why: str = ""

    def __str__(self) -> str:
        known = f"{self.what}: {_KNOWN[self.cause][0]} on {self.route}"
        return f"{known} ({self.why})" if self.why else known


class Report(_Model):
    """All of an examination.

    Attributes:
        healthy: there is no finding at all, not even a suspected one, and it came to its end.
        findings: best first: confirmed before suspected, then by what they cost.
        target: what was examined, as it was named.
        routes: what was asked, and how it answered.
        not_looked_at: a sentence for each look that could not be taken, and why.
        partial: it was stopped before its end.
        changes: against another version: what was there and is gone, what is new, and what nobody
            can tell.
    """

    healthy: bool
    findings: tuple[Finding, ...]
    target: str = ""
    routes: tuple[RouteReport, ...] = ()
    not_looked_at: tuple[str, ...] = ()
    seconds: float = 0.0
    partial: bool = False
    against: str = ""
    changes: tuple[Change, ...] = ()

    def __str__(self) -> str:
        from course_app.examine.terminal import as_text

        return as_text(self)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from course_app.examine.page import fragment

        return fragment(self)

    @property
    def confirmed(self) -> tuple[Finding, ...]:
        """The findings that two looks agree on."""
        return tuple(finding for finding in self.findings if finding.confirmed)


def in_words(value: float, unit: str) -> str:
    """A number with two digits and its unit."""
    return f"{significant(value)} {unit}".rstrip()
