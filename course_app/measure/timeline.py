"""A few requests as a Gantt chart: when each one waited, was served, and was written back.

Client and server stamps are of one clock (``perf_counter_ns`` is the same for all processes
on Linux and macOS), so the two sides of a request line up without synchronisation.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_app.errors import CourseError
from course_app.load import Generator, LoadResult, Workload
from course_app.measure.answers import WrongAnswer, errors_of, together
from course_app.measure.probes.asgi import ASGIApp, Receive, Scope, Send
from course_app.measure.result import Result
from course_app.measure.statistics import Floats
from course_app.measure.subject import require_in_time
from course_app.serving import ThreadServer
from course_app.words import amount

#: More rows than this cannot be told apart in a figure.
MOST_REQUESTS = 200
MOST_CONCURRENCY = 64

_NUMBER_HEADER = b"x-request-number"


class TimelineFailed(CourseError):
    """No timeline could be drawn; the message says why."""


@dataclass(frozen=True)
class Timeline(Result):
    """Client and server stamps of each request, in ms since the first one was sent.

    Each array has shape (requests,), in the order of sending. A request is queued from
    ``client_start_ms`` (sent) to ``server_start_ms`` (the app was called), in service until
    ``server_end_ms`` (the app returned) and written back until ``client_end_ms``. An app that
    goes on after its answer (a background task) ends after its client.
    """

    name: str
    workload: str
    concurrency: int
    client_start_ms: Floats
    server_start_ms: Floats
    server_end_ms: Floats
    client_end_ms: Floats
    wrong: tuple[WrongAnswer, ...] = ()

    columns = ("per request", "median, ms", "highest, ms")

    @property
    def queued_ms(self) -> Floats:
        """From sending a request to the call of the app."""
        return self.server_start_ms - self.client_start_ms

    @property
    def service_ms(self) -> Floats:
        """From the call of the app to its return."""
        return self.server_end_ms - self.server_start_ms

    @property
    def write_back_ms(self) -> Floats:
        """From the app's return to the whole answer at the client; 0 where that came first."""
        return np.maximum(0.0, self.client_end_ms - self.server_end_ms)

    @property
    def total_ms(self) -> float:
        """From the first request's sending to the last answer."""
        return float(self.client_end_ms.max())

    @property
    def overlap(self) -> int:
        """The most requests that were in the app at the same time."""
        return most_at_once(self.server_start_ms, self.server_end_ms)

    @property
    def share_queued(self) -> float:
        """Share of the clients' waiting that was spent before the app was called."""
        return float(self.queued_ms.sum() / (self.client_end_ms - self.client_start_ms).sum())

    @property
    def message(self) -> str:
        """How many requests were served at once, and how much of the waiting was queueing."""
        if self.wrong:
            return f"Answers were wrong. {self.wrong[0]}"
        size = self.client_start_ms.size
        at_once = "one at a time" if self.overlap == 1 else f"up to {self.overlap} at once"
        return (
            f"{self.name}: {amount(size, 'request')} served {at_once} in "
            f"{self.total_ms:,.0f} ms; {self.share_queued:.0%} of the waiting was queueing"
        )

    def rows(self) -> list[tuple[str, ...]]:
        """The three stages, median and highest."""
        stages = {
            "queueing": self.queued_ms,
            "service": self.service_ms,
            "write-back": self.write_back_ms,
        }
        return [
            (name, f"{np.median(values):.2f}", f"{values.max():.2f}")
            for name, values in stages.items()
        ]

    def notes(self) -> Sequence[str]:
        """Wrong answers, then what was sent."""
        sent = f"{self.workload}, {self.concurrency} connections."
        return [*(str(example) for example in self.wrong[1:]), sent]


class Stamped:
    """Wraps an app and notes (start, end, number) of each numbered request, in ns.

    Costs half a microsecond a request, and is only there while a timeline is made.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.stamps: list[tuple[int, int, int]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter_ns()
        try:
            await self._app(scope, receive, send)
        finally:
            ended = time.perf_counter_ns()
            for name, value in scope["headers"]:
                if name == _NUMBER_HEADER:
                    self.stamps.append((began, ended, int(value)))
                    break


def timeline(
    generator: Generator,
    app: ASGIApp,
    workload: Workload,
    *,
    requests: int = 60,
    concurrency: int = 16,
    name: str = "app",
) -> Timeline:
    """Serve the app, send it a few requests, and note when each stage of each one began.

    As many requests as there are connections are sent before, so that pools are open.

    Raises:
        TimelineFailed: more requests or connections than a figure can show, or no answer.
    """
    if not 1 <= requests <= MOST_REQUESTS or not 1 <= concurrency <= MOST_CONCURRENCY:
        raise TimelineFailed(
            f"A timeline shows up to {MOST_REQUESTS} requests on up to {MOST_CONCURRENCY} "
            "connections: choose fewer, or use measure for more."
        )
    stamped = Stamped(app)
    with ThreadServer(stamped, name=name) as server:
        target = generator.connect(
            server.url, workload, concurrency=concurrency, number_requests=True
        )
        try:
            require_in_time(server, generator.closed(target, requests=concurrency))
            stamped.stamps.clear()
            load = require_in_time(server, generator.closed(target, requests=requests))
        finally:
            generator.disconnect(target)
    # The server has stopped, so requests that went on after their answers have ended too.
    return from_stamps(name, workload.describe(), load, stamped.stamps)


def from_stamps(
    name: str, workload: str, load: LoadResult, stamps: Sequence[tuple[int, int, int]]
) -> Timeline:
    """Match the server's stamps with the client's by the requests' numbers.

    Raises:
        TimelineFailed: no request was answered and stamped.
    """
    wrong = errors_of(name, load)
    server = {number: (began, ended) for began, ended, number in stamps}
    order = [i for i in np.argsort(load.start_ns, kind="stable") if _number(load, i) in server]
    if not order:
        why = f" ({wrong[0]})" if wrong else ""
        raise TimelineFailed(f"No request was answered{why}: try one with lab.measure first.")
    began, ended = np.array([server[_number(load, i)] for i in order]).T
    first = int(load.start_ns[order[0]])

    def since_first_ms(stamps_ns: Any) -> Floats:
        return np.asarray((stamps_ns - first) / 1e6, dtype=np.float64)

    return Timeline(
        name=name,
        workload=workload,
        concurrency=load.concurrency,
        client_start_ms=since_first_ms(load.start_ns[order]),
        server_start_ms=since_first_ms(began),
        server_end_ms=since_first_ms(ended),
        client_end_ms=since_first_ms(load.end_ns[order]),
        wrong=together(wrong),
    )


def most_at_once(starts: Floats, ends: Floats) -> int:
    """The most intervals that hold one moment; those that only touch do not overlap."""
    times = np.concatenate([starts, ends])
    steps = np.concatenate([np.ones(starts.size), -np.ones(ends.size)])
    order = np.lexsort((steps, times))
    return int(np.cumsum(steps[order]).max(initial=0))


def _number(load: LoadResult, index: int) -> int:
    return int(load.request_number[index])
