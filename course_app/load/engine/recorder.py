"""What a window keeps of each answer: stamps in plain arrays, counts, a few different errors."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_app.load.engine.connection import Connection

MOST_EXAMPLES = 5
"""Further ones are of requests of which there is none yet."""
REQUEST_LINE_BYTES = 200


class Recorder:
    """The records of one target in one window; requests from before ``opens_ns`` are warm-up."""

    def __init__(self) -> None:
        self.opens_ns = 0
        self.columns = {
            name: array("q") for name in ("intended_ns", "start_ns", "end_ns", "number", "status")
        }
        self.warmup_start_ns, self.warmup_end_ns = array("q"), array("q")
        self._intended, self._start, self._end, self._number, self._status = (
            column.append for column in self.columns.values()
        )
        self.failed_due_ns = array("q")
        self.failed_ns = array("q")
        self.failed_index = array("q")
        self.examples: list[dict[str, Any]] = []
        self.errors: Counter[str] = Counter()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.reconnects = 0
        self.missed = 0
        self.max_backlog = 0
        self.cpu_ns = 0

    def open(self) -> None:
        """The warm-up is over: count from here."""
        self.bytes_received = self.bytes_sent = 0
        self.cpu_ns = -time.process_time_ns()

    def close(self) -> None:
        """The last answer is in."""
        self.cpu_ns += time.process_time_ns()

    def answered(self, connection: Connection, end_ns: int, status: int) -> None:
        """A right answer is complete."""
        if connection.started_ns < self.opens_ns:
            self.warmup_start_ns.append(connection.started_ns)
            self.warmup_end_ns.append(end_ns)
            return
        if connection.intended_ns:
            self._intended(connection.intended_ns)
        self._start(connection.started_ns)
        self._end(end_ns)
        self._number(connection.number)
        self._status(status)

    def failed(self, connection: Connection, kind: str, got: str, status: int | None) -> None:
        """A request had a wrong answer or none. In the warm-up too: a wrong server is wrong."""
        self.errors[kind] += 1
        self.failed_due_ns.append(connection.intended_ns or connection.started_ns)
        self.failed_ns.append(time.perf_counter_ns())
        index = connection.target.stream.index_of(connection.number)
        self.failed_index.append(index)
        mine = [each for each in self.examples if each["request_index"] == index]
        full = len(self.examples) >= MOST_EXAMPLES
        for example in mine:
            alike = (example["kind"], example["status"]) == (kind, status)
            if alike and (example["got"] == got or full):
                example["count"] += 1
                return
        if not full or not mine:
            line = connection.payload[:REQUEST_LINE_BYTES].partition(b" HTTP/1.1\r\n")[0]
            self.examples.append(
                {
                    "kind": kind,
                    "request_line": line.decode("latin-1"),
                    "expected": _wanted(connection),
                    "status": status,
                    "got": got,
                    "count": 1,
                    "request_index": index,
                }
            )


def _wanted(connection: Connection) -> str:
    expectation = connection.expectation
    statuses = " or ".join(str(status) for status in sorted(expectation.statuses))
    if expectation.body is None:
        return f"status {statuses}"
    return f"status {statuses} and {expectation.body.decode(errors='replace')!r} in the body"
