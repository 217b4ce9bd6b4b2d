"""A target's requests, rendered before they are needed."""

from __future__ import annotations

import functools
from array import array
from collections import deque

from course_app.load.engine.answer import Expectation
from course_app.load.rendering import RequestStream
from course_app.load.workload import Request, Workload

MOST_PREPARED_BYTES = 64 * 1024 * 1024
RENDERED_AT_ONCE = 32
"""How many an endless stream renders when it ran dry within a window: a pause of about 0.2 ms."""

Prepared = tuple[bytes, Expectation]


def expectation_of(index: int, request: Request) -> Expectation:
    """What makes an answer to the workload's request ``index`` right."""
    return Expectation(
        statuses=frozenset(request.expect_status),
        body=request.expect_body or None,
        bodiless=request.method == "HEAD",
        request_index=index,
    )


class Stream:
    """Requests in the order of their numbers; ``number`` is the next one's.

    A workload that holds a sequence never repeats a request (it renders on); any other cycles
    through its prepared requests.
    """

    def __init__(
        self, workload: Workload, seed: int, host: str, prepared: int, first: int = 0
    ) -> None:
        self.first = self.number = first
        self.kinds = array("q")
        self.cycles = not workload.endless
        self._from_start = functools.partial(Stream, workload, seed, host)
        self._source = RequestStream(workload, seed, host, first)
        self._prepared_count = prepared
        self._expectations = [
            expectation_of(index, request) for index, request in enumerate(workload.requests)
        ]
        self._ready: deque[Prepared] = deque()
        self.prepare()

    def prepare(self) -> None:
        """Render what the next window may need."""
        missing = self._prepared_count - len(self._ready)
        if missing > 0 and not (self.cycles and self._ready):
            self._render(missing)

    def take(self) -> Prepared:
        """The next request and what is expected of its answer."""
        self.number += 1
        ready = self._ready
        if self.cycles:
            first = ready[0]
            ready.rotate(-1)
            return first
        if not ready:
            self._render(RENDERED_AT_ONCE)
        return ready.popleft()

    def sample(self, count: int) -> Stream:
        """A stream of the first ``count`` requests; an endless one, which repeats none, goes on."""
        return self._from_start(count) if self.cycles else self

    def _render(self, count: int) -> None:
        size_bytes = 0
        for _ in range(count):
            payload, kind = self._source.draw()
            self._ready.append((payload, self._expectations[kind]))
            self.kinds.append(kind)
            size_bytes += len(payload)
            if size_bytes > MOST_PREPARED_BYTES:
                return


def numbered(payload: bytes, number: int) -> bytes:
    """The request with a header that tells its number."""
    cut = payload.index(b"\r\n") + 2
    return b"%bx-request-number: %d\r\n%b" % (payload[:cut], number, payload[cut:])
