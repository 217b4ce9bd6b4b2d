"""The kinds of window: closed model, open model, alternating single requests, samples.

Closed and open: Schroeder, Wierman and Harchol-Balter, "Open versus closed: a cautionary tale",
NSDI 2006.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

from course_app.load.engine.answer import AnswerReader, Head
from course_app.load.engine.connection import Connection, Target
from course_app.load.engine.exchange import clock
from course_app.load.engine.window import LOOK_SECONDS, Window
from course_app.load.limits import MOST_SECONDS

#: Products are not exact: 100 a second for 0.29 s are 29 arrivals, not 28.
_ROUNDING = 1e-6


class Kept:
    """Whole answers, in the order in which they came."""

    def __init__(self) -> None:
        self.responses: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []

    def add(self, connection: Connection, reader: AnswerReader, head: Head) -> None:
        """Keep one."""
        self.responses.append(
            {
                "number": connection.number,
                "status": head.status,
                "headers": head.headers,
                "request_text": connection.payload.decode(errors="replace"),
            }
        )
        self.bodies.append(bytes(reader.body))


class Closed(Window):
    """As many requests in flight as there are connections: an answer brings the next request.

    ``keep`` answers are kept whole, to requests that nobody can tell from the others: by their
    turn where the number of requests is known, else the next ones after moments of the window.
    """

    def __init__(
        self,
        target: Target,
        owner: int,
        *,
        seconds: float | None,
        requests: int | None,
        warmup_seconds: float,
        keep: int = 0,
    ) -> None:
        super().__init__([target], owner, warmup_seconds)
        self.seconds = MOST_SECONDS if seconds is None else seconds
        self.left = requests
        self.keep = keep
        self.kept = Kept()
        self._turns = set(random.sample(range(requests), min(keep, requests)) if requests else ())
        self._moments: list[int] = []
        self._latest_ns = self._begun_ns = 0

    def begin(self) -> None:
        self._latest_ns = self.opens_ns + self.warmup_ns
        for connection in self.targets[0].connections:
            self.free(connection, clock())
        self._begun_ns = clock()

    def open_at(self, opens_ns: int) -> None:
        super().open_at(opens_ns)
        self.closes_ns = opens_ns + int(self.seconds * 1e9)
        if self.left is None:
            span = range(opens_ns, self.closes_ns)
            self._moments = sorted((random.choice(span) for _ in range(self.keep)), reverse=True)

    def opens_later(self) -> bool:
        """While a client waits for its first answer, the warm-up lasts up to twice its time.

        A machine that stood still meanwhile would leave a window with a crowd's first answers only.
        """
        now = clock()
        if now >= self._latest_ns or self.left is not None:
            return False
        connections = self.targets[0].connections
        if not any(each.busy and each.started_ns <= self._begun_ns for each in connections):
            return False
        self.open_at(min(now + int(LOOK_SECONDS * 1e9), self._latest_ns))
        return True

    def free(self, connection: Connection, now: int) -> None:
        if now >= self.closes_ns or self.left == 0 or self.stalled:
            self.rest(connection, now)
            return
        if self.left is not None and now >= self.opens_ns:
            self.left -= 1
        self.launch(connection)
        if self.keep and now >= self.opens_ns and self._is_kept(now):
            expectation = connection.expectation._replace(keep=True)
            connection.reader = AnswerReader(expectation)

    def judge(self, connection: Connection, reader: AnswerReader, head: Head, now: int) -> None:
        super().judge(connection, reader, head, now)
        if reader.keeps:
            self.kept.add(connection, reader, head)

    def _is_kept(self, now: int) -> bool:
        if self.left is not None:
            return self.left in self._turns
        if self._moments and now >= self._moments[-1]:
            self._moments.pop()
            return True
        return False


class Open(Window):
    """Arrivals at a constant rate, whether or not answers come.

    An arrival that finds no free connection waits in the backlog; one that finds the backlog full
    is missed. What is in the backlog at the end is still sent, for as long as one time-out.
    """

    paced = True

    def __init__(
        self, target: Target, owner: int, *, rate: float, seconds: float, max_backlog: int
    ) -> None:
        super().__init__([target], owner)
        self.interval_ns = 1e9 / rate
        self.arrivals = int(rate * seconds + _ROUNDING)
        self.arrived = 0
        self.seconds = seconds
        self.max_backlog = max_backlog
        self.backlog: deque[int] = deque()
        self.idle: deque[Connection] = deque()
        self.alive = len(target.connections)

    def begin(self) -> None:
        self.closes_ns = self.opens_ns + int(self.seconds * 1e9)
        self.idle.extend(self.targets[0].connections)
        self.pace()

    def free(self, connection: Connection, now: int) -> None:
        if self.backlog:
            self.launch(connection, self.backlog.popleft())
        else:
            self.rest(connection, now)
            self.idle.append(connection)

    def retire(self, connection: Connection) -> None:  # noqa: ARG002
        self.alive -= 1
        if self.alive == 0:
            self._give_up()
            self.closes_ns = min(self.closes_ns, clock())

    def end_ns(self) -> int:
        return self.closes_ns

    def more(self) -> bool:
        return self.arrived < self.arrivals or bool(self.backlog)

    def pace(self) -> None:
        now = clock()
        while self.arrived < self.arrivals and (intended_ns := self._next_ns()) <= now:
            self.arrived += 1
            self._arrive(intended_ns)
        if self.backlog and now > self.closes_ns + self.targets[0].timeout_ns:
            self._give_up()

    def pause_seconds(self) -> float:
        if self.arrived == self.arrivals:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.0, (self._next_ns() - clock()) / 1e9))

    def _next_ns(self) -> int:
        return self.opens_ns + int(self.arrived * self.interval_ns)

    def _arrive(self, intended_ns: int) -> None:
        recorder = self.recorders[0]
        if self.idle:
            self.launch(self.idle.popleft(), intended_ns)
        elif len(self.backlog) < self.max_backlog:
            self.backlog.append(intended_ns)
            recorder.max_backlog = max(recorder.max_backlog, len(self.backlog))
        else:
            recorder.missed += 1

    def _give_up(self) -> None:
        self.recorders[0].missed += len(self.backlog) + self.arrivals - self.arrived
        self.arrived = self.arrivals
        self.backlog.clear()


class Alternate(Window):
    """One request at a time, to the targets in turn, forth and back: A B B A.

    A slow drift of the machine then weighs on all targets alike. Where a round turns, one target
    is asked twice running and finds its own traces in the processor's caches: so each round has
    another order. It ends with a whole round.
    """

    def __init__(self, targets: Sequence[Target], owner: int, *, seconds: float) -> None:
        super().__init__(targets, owner)
        self.forth = [target.connections[0] for target in targets]
        self.round: list[Connection] = []
        self.seconds = seconds
        self.position = 0

    def begin(self) -> None:
        self.closes_ns = self.opens_ns + int(self.seconds * 1e9)
        self._next()

    def free(self, connection: Connection, now: int) -> None:
        self.rest(connection, now)
        self._next()

    def _next(self) -> None:
        if self.stalled:
            return
        if self.position == len(self.round):
            random.shuffle(self.forth)
            self.round = [*self.forth, *reversed(self.forth)]
            self.position = 0
        if self.position > 0 or clock() < self.closes_ns:
            self.position += 1
            self.launch(self.round[self.position - 1])


class Sample(Window):
    """The target's next ``count`` requests one after another, with their whole answers."""

    def __init__(self, target: Target, owner: int, count: int) -> None:
        super().__init__([target], owner)
        self.left = count
        self.kept = Kept()

    def begin(self) -> None:
        self.free(self.targets[0].connections[0], clock())

    def free(self, connection: Connection, now: int) -> None:
        self.rest(connection, now)
        if self.left > 0 and not self.recorders[0].errors:
            self.left -= 1
            self.launch(connection)
            # Answers are looked at here, not times. A server may close a connection after an answer
            # (uvicorn does when a background task fails): the next request is sent again, once.
            connection.may_retry = bool(self.kept.responses)

    def judge(self, connection: Connection, reader: AnswerReader, head: Head, now: int) -> None:  # noqa: ARG002
        self.kept.add(connection, reader, head)
