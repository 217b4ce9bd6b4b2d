"""Visitors: an open model whose clients lose patience, hang up, and perhaps try again."""

from __future__ import annotations

import heapq
import random
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from course_app.load.engine.connection import Connection, Target
from course_app.load.engine.exchange import clock
from course_app.load.engine.recorder import Recorder
from course_app.load.engine.window import LOOK_SECONDS, Window
from course_app.load.limits import MOST_CONCURRENCY
from course_app.load.visits import LOST, MOST_SAVED_RETRIES, TIMED_OUT, UNSENT, Retries

COLUMNS = ("visitor", "attempt", "due_ns", "start_ns", "end_ns", "status", "right")

#: A visitor, the number of its attempt, and when that was due.
Visit = tuple[int, int, int]

#: Sums of gaps are not exact: a phase of 1 s at a rate of 10 has ten visitors, not eleven.
_ROUNDING_SECONDS = 1e-6


class Attempts(Recorder):
    """Keeps every attempt, whatever came of it; ``last`` is how the latest one ended."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = {name: array("q") for name in COLUMNS}
        self.last = (0, LOST, False)

    def answered(self, connection: Connection, end_ns: int, status: int) -> None:  # noqa: ARG002
        self.last = (end_ns, status, True)

    def failed(self, connection: Connection, kind: str, got: str, status: int | None) -> None:
        super().failed(connection, kind, got, status)
        self.last = (clock(), status or (TIMED_OUT if kind == "timeout" else LOST), False)

    def keep(self, *values: int) -> None:
        """One attempt, in the order of the columns."""
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)


class Visits(Window):
    """Visitors arrive by phases of (seconds, rate), evenly or, with a seed, at random (Poisson).

    Each sends its request on a connection of its own, as far as an idle one is left on one that is
    open already. Whoever has no answer within the target's time-out hangs up.
    """

    paced = True

    def __init__(
        self,
        target: Target,
        owner: int,
        *,
        phases: Sequence[tuple[float, float]],
        seed: int | None,
        retries: dict[str, Any],
    ) -> None:
        super().__init__([target], owner)
        self.recorder = Attempts()
        self.recorders = [self.recorder]
        self.retries = Retries(**retries)
        # A stream of its own: pauses drawn from that of the arrivals would go along with them.
        self.random = random.Random(None if seed is None else f"pauses {seed}")
        self.arrivals = deque(enumerate(due_ns(phases, seed)))
        self.seconds = sum(seconds for seconds, _ in phases)
        self.again: list[tuple[int, int, int]] = []
        self.patience: deque[tuple[int, Connection, int]] = deque()
        self.visit_of: dict[Connection, Visit] = {}
        self.idle: list[Connection] = []
        self.saved = float(MOST_SAVED_RETRIES)

    def begin(self) -> None:
        self.closes_ns = self.opens_ns + int(self.seconds * 1e9)
        self.idle.extend(self.targets[0].connections)
        self.pace()

    def end_ns(self) -> int:
        return self.closes_ns

    def more(self) -> bool:
        return bool(self.arrivals or self.again)

    def free(self, connection: Connection, now: int) -> None:
        self.rest(connection, now)
        self.idle.append(connection)
        visit = self.visit_of.pop(connection)
        self._ended(visit, connection.started_ns, *self.recorder.last)

    def retire(self, connection: Connection) -> None:
        self.free(connection, clock())

    def pace(self) -> None:
        now = clock()
        while self.patience and self.patience[0][0] <= now:
            _, connection, number = self.patience.popleft()
            if connection.busy and connection.number == number:
                self.fail(connection, "timeout", "no answer in time")
        while self.again and self.again[0][0] <= now:
            due, visitor, attempt = heapq.heappop(self.again)
            self._visit(visitor, attempt, due)
        while self.arrivals and self.opens_ns + self.arrivals[0][1] <= now:
            visitor, offset = self.arrivals.popleft()
            if self.retries.budget is not None:
                self.saved = min(self.saved + self.retries.budget, MOST_SAVED_RETRIES)
            self._visit(visitor, 0, self.opens_ns + offset)

    def pause_seconds(self) -> float:
        times = [clock() + int(LOOK_SECONDS * 1e9)]
        if self.arrivals:
            times.append(self.opens_ns + self.arrivals[0][1])
        if self.again:
            times.append(self.again[0][0])
        if self.patience:
            times.append(self.patience[0][0])
        return max(0.0, (min(times) - clock()) / 1e9)

    def _visit(self, visitor: int, attempt: int, due: int) -> None:
        connection = self._connection()
        if connection is None:
            now = clock()
            self.recorder.missed += 1
            self._ended((visitor, attempt, due), now, now, UNSENT, right=False)
            return
        self.visit_of[connection] = (visitor, attempt, due)
        self.launch(connection, due)
        # A refused connection has ended the visit already.
        if connection.busy:
            until = connection.started_ns + connection.target.timeout_ns
            self.patience.append((until, connection, connection.number))

    def _connection(self) -> Connection | None:
        if self.idle:
            return self.idle.pop()
        target = self.targets[0]
        if len(target.connections) >= MOST_CONCURRENCY:
            return None
        connection = Connection(target)
        connection.recorder = self.recorder
        target.connections.append(connection)
        return connection

    def _ended(self, visit: Visit, start: int, end: int, status: int, right: bool) -> None:
        self.recorder.keep(*visit, start, end, status, right)
        visitor, attempt, _ = visit
        if right or attempt >= self.retries.times or not self._may_retry():
            return
        pause = self.retries.pause_seconds * 2**attempt
        if self.retries.jitter:
            pause *= self.random.random()
        heapq.heappush(self.again, (end + int(pause * 1e9), visitor, attempt + 1))

    def _may_retry(self) -> bool:
        if self.retries.budget is None:
            return True
        if self.saved < 1:
            return False
        self.saved -= 1
        return True


def due_ns(phases: Sequence[tuple[float, float]], seed: int | None) -> Iterator[int]:
    """When each visitor arrives, in ns since the first phase began."""
    chance = random.Random(seed)
    begins = 0.0
    for seconds, rate in phases:
        offset = 0.0 if seed is None else chance.expovariate(rate)
        while offset < seconds - _ROUNDING_SECONDS:
            yield int((begins + offset) * 1e9)
            offset += 1 / rate if seed is None else chance.expovariate(rate)
        begins += seconds
