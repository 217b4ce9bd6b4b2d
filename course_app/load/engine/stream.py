"""A target's requests, rendered before they are needed."""

from __future__ import annotations

import functools
import itertools
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence

from course_app.load.engine.answer import Expectation
from course_app.load.limits import MOST_PREPARED_REQUESTS
from course_app.load.rendering import RequestStream
from course_app.load.workload import Request, Workload

PREPARED_REQUESTS = 4096
MOST_PREPARED_BYTES = 64 * 1024 * 1024
AHEAD = 1.2
"""A window may be that much faster than the one before it and still finds its requests rendered."""
RENDERED_AT_ONCE = 32
"""How many are rendered when they run out within a window: a pause of about 0.1 ms."""

Prepared = tuple[bytes, Expectation]


def expectation_of(request: Request) -> Expectation:
    """What makes an answer to the request right."""
    return Expectation(
        statuses=frozenset(request.expect_status),
        body=request.expect_body or None,
        bodiless=request.method == "HEAD",
        repeatable=request.method in ("GET", "HEAD"),
    )


class Stream:
    """Requests in the order of their numbers; ``number`` is the next one's.

    ``take()`` gives the next request and what is expected of its answer; whoever takes it counts
    ``number`` on. Values are drawn on and on: an app whose memory grows with them must not seem to
    stop. Requests repeat only where nothing in them changes, or where ``prepared`` says how many
    there are; a sequence repeats no value even then.
    """

    take: Callable[[], Prepared]

    def __init__(
        self, workload: Workload, seed: int, host: str, prepared: int | None, first: int = 0
    ) -> None:
        self.first = self.number = self._began = first
        self.kinds = array("q")
        self._endless = workload.endless
        self._draws_on = workload.endless or (prepared is None and workload.varies)
        self._from_start = functools.partial(Stream, workload, seed, host)
        self._source_anew = functools.partial(RequestStream, workload, seed, host, first)
        self._source = self._source_anew()
        self._ahead = prepared or PREPARED_REQUESTS
        self._window_began = first
        self._expectations = [expectation_of(request) for request in workload.requests]
        self._ready: deque[Prepared] = deque()
        self._render(self._ahead)
        self.take = self._take_new if self._draws_on else itertools.cycle(self._ready).__next__

    def prepare(self) -> None:
        """Render what the next window may need: a little more than any window before it took."""
        if not self._draws_on:
            return
        taken = self.number - self._window_began
        self._ahead = max(self._ahead, min(int(AHEAD * taken), MOST_PREPARED_REQUESTS))
        self._render(self._ahead - len(self._ready))
        # of what was sent already nobody asks the kind again
        del self.kinds[: self.number - self.first]
        self.first = self._window_began = self.number

    def index_of(self, number: int) -> int:
        """Which of the workload's requests the one of this number is, in the latest window."""
        return self.kinds[(number - self.first) % len(self.kinds)]

    def sample(self, count: int) -> SampleStream:
        """The first ``count`` requests; of an endless stream, which repeats none, the next ones."""
        source = self if self._endless else self._from_start(count)
        self.number += count if self._endless else 0
        return SampleStream([source.take() for _ in range(count)])

    def picked(self, numbers: Sequence[int]) -> SampleStream:
        """The requests of these numbers again, of a stream that is not endless."""
        places = [number - self._began for number in numbers]
        if not self._draws_on:
            ready = list(self._ready)
            return SampleStream([ready[place % len(ready)] for place in places])
        source, wanted, found = self._source_anew(), set(places), {}
        for place in range(max(places) + 1):
            payload, kind = source.draw()
            if place in wanted:
                found[place] = payload, self._expectations[kind]
        return SampleStream([found[place] for place in places])

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

    def index_of(self, number: int) -> int:
        """Which of the given requests the one of this number is."""
        return number


def numbered(payload: bytes, number: int) -> bytes:
    """The request with headers that tell its number, and when it was sent (Unix time in ms)."""
    cut = payload.index(b"\r\n") + 2
    told = b"x-request-number: %d\r\nx-request-start: %d\r\n" % (number, time.time() * 1e3)
    return payload[:cut] + told + payload[cut:]
