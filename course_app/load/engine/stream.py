"""A target's requests, rendered before they are needed."""

from __future__ import annotations

import functools
import itertools
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence

from course_app.load.engine.answer import Expectation
from course_app.load.rendering import RequestStream
from course_app.load.workload import Request, Workload

MOST_PREPARED_BYTES = 64 * 1024 * 1024
RENDERED_AT_ONCE = 32
"""How many an endless stream renders when it ran dry within a window: a pause of about 0.2 ms."""

Prepared = tuple[bytes, Expectation]


def expectation_of(request: Request) -> Expectation:
    """What makes an answer to the request right."""
    return Expectation(
        statuses=frozenset(request.expect_status),
        body=request.expect_body or None,
        bodiless=request.method == "HEAD",
    )


class Stream:
    """Requests in the order of their numbers; ``number`` is the next one's.

    ``take()`` gives the next request and what is expected of its answer; whoever takes it counts
    ``number`` on. A workload that holds a sequence never repeats a request (it renders on); any
    other cycles through its prepared requests.
    """

    take: Callable[[], Prepared]

    def __init__(
        self, workload: Workload, seed: int, host: str, prepared: int, first: int = 0
    ) -> None:
        self.first = self.number = first
        self.kinds = array("q")
        self._endless = workload.endless
        self._from_start = functools.partial(Stream, workload, seed, host)
        self._source = RequestStream(workload, seed, host, first)
        self._prepared_count = prepared
        self._expectations = [expectation_of(request) for request in workload.requests]
        self._ready: deque[Prepared] = deque()
        self._render(prepared)
        self.take = self._take_new if self._endless else itertools.cycle(self._ready).__next__

    def prepare(self) -> None:
        """Render what the next window may need."""
        if self._endless:
            self._render(self._prepared_count - len(self._ready))

    def sample(self, count: int) -> SampleStream:
        """The first ``count`` requests; of an endless stream, which repeats none, the next ones."""
        source = self if self._endless else self._from_start(count)
        self.number += count if self._endless else 0
        return SampleStream([source.take() for _ in range(count)])

    def picked(self, numbers: Sequence[int]) -> SampleStream:
        """The requests of these numbers again, of a stream that is not endless."""
        ready = list(self._ready)
        return SampleStream([ready[(number - self.first) % len(ready)] for number in numbers])

    def _take_new(self) -> Prepared:
        if not self._ready:
            self._render(RENDERED_AT_ONCE)
        return self._ready.popleft()

    def _render(self, count: int) -> None:
        size_bytes = 0
        for _ in range(count):
            payload, kind = self._source.draw()
            self._ready.append((payload, self._expectations[kind]))
            self.kinds.append(kind)
            size_bytes += len(payload)
            if size_bytes > MOST_PREPARED_BYTES:
                return


class SampleStream:
    """Given requests, whose answers are kept whole and not judged."""

    def __init__(self, requests: list[Prepared]) -> None:
        self.number = 0
        self.take = iter(
            [
                (payload, expectation._replace(statuses=frozenset(), keep=True))
                for payload, expectation in requests
            ]
        ).__next__


def numbered(payload: bytes, number: int) -> bytes:
    """The request with headers that tell its number, and when it was sent (Unix time in ms)."""
    cut = payload.index(b"\r\n") + 2
    told = b"x-request-number: %d\r\nx-request-start: %d\r\n" % (number, time.time() * 1e3)
    return payload[:cut] + told + payload[cut:]
