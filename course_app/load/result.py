"""What a window of load gave: raw nanosecond stamps, errors with examples, what it cost.

numpy is imported where it is used: the generator process, which imports this package too, starts
in half the time without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Response:
    """One answer, whole. Header names are in lower case; ``request_text`` is what was sent.

    ``number`` is the request's in its target's stream.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    request_text: str
    number: int = 0

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of that name, or None."""
        return next((value for each, value in self.headers if each == name.lower()), None)


@dataclass(frozen=True)
class ErrorExample:
    """One wrong or missing answer.

    ``kind`` is ``status``, ``body``, ``lost`` (the connection), ``timeout``, ``garbage`` or
    ``refused``; ``status`` is None where none came. ``count`` requests had errors like this one.
    ``request_index`` is which of the workload's requests it was.
    """

    kind: str
    request_line: str
    expected: str
    status: int | None
    got: str
    count: int = 1
    request_index: int = 0

    def __str__(self) -> str:
        return f"{self.request_line}: expected {self.expected}, got {self.got}"


def _no_stamps() -> NDArray[np.int64]:
    import numpy as np

    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class LoadResult:
    """The answers to one window of load.

    The arrays hold one element for each request that *started* in the window and was answered
    rightly, in the order of the answers (also those answered just after the window's end: leaving
    them out would favour fast answers). Stamps are nanoseconds of ``time.perf_counter_ns``, which
    on Linux and macOS is one clock for all processes.

    intended_ns: int64, when the request should have been sent (closed model: when it was)
    start_ns, end_ns: int64, when it was sent and its answer complete
    request_number: int64, its number in the target's stream (the ``x-request-number`` header)
    request_index: int64, which of the workload's requests it was
    status: int64, the answer's status
    warmup_start_ns, warmup_end_ns: int64, the same of requests that started before the window
    failed_due_ns, failed_ns: int64, one element for each error: when its request should have been
        sent, and when it was known to be wrong
    failed_index: int64, likewise, which of the workload's requests it was
    kept: whole answers, as many as were asked for at most
    missed: arrivals of the open model that were never sent, because the backlog was full or the
        server gone
    """

    intended_ns: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    request_number: NDArray[np.int64]
    request_index: NDArray[np.int64]
    status: NDArray[np.int64]
    window_start_ns: int
    window_seconds: float
    concurrency: int
    rate: float | None
    error_count: int
    errors: tuple[ErrorExample, ...]
    errors_by_kind: Mapping[str, int] = field(default_factory=dict)
    bytes_received: int = 0
    bytes_sent: int = 0
    reconnects: int = 0
    missed: int = 0
    max_backlog: int = 0
    generator_cpu_seconds: float = 0.0
    kept: tuple[Response, ...] = ()
    warmup_start_ns: NDArray[np.int64] = field(default_factory=_no_stamps)
    warmup_end_ns: NDArray[np.int64] = field(default_factory=_no_stamps)
    failed_due_ns: NDArray[np.int64] = field(default_factory=_no_stamps)
    failed_ns: NDArray[np.int64] = field(default_factory=_no_stamps)
    failed_index: NDArray[np.int64] = field(default_factory=_no_stamps)

    @property
    def completed(self) -> int:
        """How many requests of the window were answered rightly."""
        return len(self.end_ns)

    @property
    def served(self) -> int:
        """Right answers of the warm-up and the window: what the server's work was spent on."""
        return self.completed + len(self.warmup_end_ns)

    @property
    def throughput(self) -> float:
        """Right answers per second, see :meth:`answered`.

        Where requests queue, a window needs a warm-up: in its first moments nothing is under way
        that would count.
        """
        if not self.window_seconds:
            return 0.0
        ends_ns = self.window_start_ns + 1e9 * self.window_seconds
        return self.answered(self.window_start_ns, ends_ns) / self.window_seconds

    def answered(self, begin_ns: float, end_ns: float) -> float:
        """Right answers between two stamps, each by the share of its time that lies there.

        Counted whole, it would be chance: clients that wait for the same time are answered in
        bursts, and a burst more or less fits into a window.
        """
        import numpy as np

        start = np.concatenate([self.warmup_start_ns, self.start_ns])
        end = np.concatenate([self.warmup_end_ns, self.end_ns])
        within = np.minimum(end, end_ns) - np.maximum(start, begin_ns)
        return float(np.sum(np.maximum(within, 0) / np.maximum(end - start, 1)))

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """Milliseconds from when each request should have been sent to its answer."""
        return (self.end_ns - self.intended_ns) / 1e6

    @property
    def failed_ms(self) -> NDArray[np.float64]:
        """Milliseconds from when each failed request should have been sent to its failure."""
        return (self.failed_ns - self.failed_due_ns) / 1e6

    @property
    def service_ms(self) -> NDArray[np.float64]:
        """Milliseconds from when each request was sent to its answer."""
        return (self.end_ns - self.start_ns) / 1e6

    @property
    def generator_seconds(self) -> float:
        """How long the generator was at work: until the last answer, perhaps after the window."""
        ends = (int(ends_ns.max(initial=0)) for ends_ns in (self.end_ns, self.failed_ns))
        return max(self.window_seconds, (max(ends) - self.window_start_ns) / 1e9)

    @property
    def generator_busy(self) -> float:
        """Share of one core that the generator used; near 1 it limits what it measures."""
        seconds = self.generator_seconds
        return self.generator_cpu_seconds / seconds if seconds > 0 else 0.0

    def percentile(self, q: float) -> float:
        """The ``q``-th percentile of the latency in milliseconds; NaN without an answer."""
        import numpy as np

        return float(np.percentile(self.latency_ms, q)) if self.completed else float("nan")

    def status_counts(self) -> dict[int, int]:
        """How often each status came among the right answers."""
        import numpy as np

        statuses, counts = np.unique(self.status, return_counts=True)
        return dict(zip(statuses.tolist(), counts.tolist(), strict=True))


def responses_of(reply: dict[str, Any], bodies: dict[str, bytes]) -> tuple[Response, ...]:
    """The whole answers in a generator process's reply."""
    return tuple(
        Response(
            status=each["status"],
            headers=tuple((name, value) for name, value in each["headers"]),
            body=bodies[str(index)],
            request_text=each["request_text"],
            number=each["number"],
        )
        for index, each in enumerate(reply.get("responses", ()))
    )


def result_of(
    reply: dict[str, Any],
    arrays: dict[str, bytes],
    position: int,
    *,
    concurrency: int,
    rate: float | None,
) -> LoadResult:
    """The result of the target at ``position`` in a generator process's reply."""
    import numpy as np

    def column(name: str) -> NDArray[np.int64]:
        return np.frombuffer(arrays[f"{position} {name}"], dtype=np.int64)

    summary = reply["targets"][position]
    kinds, number = column("kinds"), column("number")
    # only the open model intends anything but what it does
    intended_ns, start_ns = column("intended_ns"), column("start_ns")
    return LoadResult(
        intended_ns=intended_ns if rate is not None else start_ns,
        start_ns=start_ns,
        end_ns=column("end_ns"),
        request_number=number,
        request_index=kinds[(number - reply["first"][position]) % len(kinds)],
        status=column("status"),
        window_start_ns=reply["start_ns"],
        window_seconds=max(0, reply["end_ns"] - reply["start_ns"]) / 1e9,
        concurrency=concurrency,
        rate=rate,
        error_count=sum(summary["errors"].values()),
        errors=tuple(ErrorExample(**example) for example in summary["examples"]),
        errors_by_kind=summary["errors"],
        bytes_received=summary["bytes_received"],
        bytes_sent=summary["bytes_sent"],
        reconnects=summary["reconnects"],
        missed=summary["missed"],
        max_backlog=summary["max_backlog"],
        generator_cpu_seconds=summary["cpu_seconds"],
        kept=responses_of(reply, arrays),
        warmup_start_ns=column("warmup_start_ns"),
        warmup_end_ns=column("warmup_end_ns"),
        failed_due_ns=column("failed_due_ns"),
        failed_ns=column("failed_ns"),
        failed_index=column("failed_index"),
    )
