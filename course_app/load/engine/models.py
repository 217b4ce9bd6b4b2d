"""The kinds of window: closed model, open model, alternating single requests, samples.

Closed and open: Schroeder, Wierman and Harchol-Balter, "Open versus closed: a cautionary tale",
NSDI 2006.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from course_app.load.engine.answer import AnswerReader, Head
from course_app.load.engine.connection import Connection, Target
from course_app.load.engine.exchange import clock
from course_app.load.engine.window import LOOK_SECONDS, Window
from course_app.load.limits import MOST_SECONDS


class Closed(Window):
    """As many requests in flight as there are connections: an answer brings the next request."""

    def __init__(
        self,
        target: Target,
        owner: int,
        *,
        seconds: float | None,
        requests: int | None,
        warmup_seconds: float,
    ) -> None:
        super().__init__([target], owner, warmup_seconds)
        self.seconds = MOST_SECONDS if seconds is None else seconds
        self.left = requests

    def begin(self) -> None:
        self.closes_ns = self.opens_ns + int(self.seconds * 1e9)
        for connection in self.targets[0].connections:
            self.free(connection, clock())

    def free(self, connection: Connection, now: int) -> None:
        if now >= self.closes_ns or self.left == 0 or self.stalled:
            self.rest(connection, now)
            return
        if self.left is not None and now >= self.opens_ns:
            self.left -= 1
        self.launch(connection)


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
        self.arrivals = int(rate * seconds)
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

    A slow drift of the machine then weighs on all targets alike. It ends with a whole round.
    """

    def __init__(self, targets: Sequence[Target], owner: int, *, seconds: float) -> None:
        super().__init__(targets, owner)
        self.round = [target.connections[0] for target in (*targets, *reversed(targets))]
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
            self.position = 0
        if self.position > 0 or clock() < self.closes_ns:
            self.position += 1
            self.launch(self.round[self.position - 1])


class Sample(Window):
    """The target's next ``count`` requests one after another, with their whole answers."""

    def __init__(self, target: Target, owner: int, count: int) -> None:
        super().__init__([target], owner)
        self.left = count
        self.responses: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []

    def begin(self) -> None:
        self.free(self.targets[0].connections[0], clock())

    def free(self, connection: Connection, now: int) -> None:
        self.rest(connection, now)
        if self.left > 0 and not self.recorders[0].errors:
            self.left -= 1
            self.launch(connection)
            # Answers are looked at here, not times. A server may close a connection after an answer
            # (uvicorn does when a background task fails): the next request is sent again, once.
            connection.may_retry = bool(self.responses)

    def judge(self, connection: Connection, reader: AnswerReader, head: Head, now: int) -> None:  # noqa: ARG002
        self.responses.append(
            {
                "status": head.status,
                "headers": head.headers,
                "request_text": connection.payload.decode(errors="replace"),
            }
        )
        self.bodies.append(bytes(reader.body))
