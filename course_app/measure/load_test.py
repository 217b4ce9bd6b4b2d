"""A load test with Locust, as a result: what its users saw, how it went on, what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_app.load.swarm import EndpointStats, SwarmReport
from course_app.measure.result import Result, a_second
from course_app.measure.statistics import Floats, enough_for
from course_app.words import amount

_SHOWN_ERRORS = 3


@dataclass(frozen=True)
class LoadTest(Result):
    """All reports of one run of Locust, as they came; the last one is final."""

    name: str
    users: int
    reports: tuple[SwarmReport, ...]

    columns = ("endpoint", "requests", "failed", "requests/s", "p50, ms", "p95, ms")

    @property
    def processes(self) -> int:
        """How many of Locust's processes there were."""
        return max(report.processes for report in self.reports)

    @property
    def last(self) -> SwarmReport:
        """The final report."""
        return self.reports[-1]

    @property
    def live(self) -> tuple[SwarmReport, ...]:
        """The reports from the time when all users were there; never empty."""
        return tuple(r for r in self.reports if r.users >= self.users) or self.reports

    @property
    def endpoints(self) -> Mapping[str, EndpointStats]:
        """What Locust knows in the end, by the names that the locustfile gave."""
        return {endpoint.name: endpoint for endpoint in self.last.endpoints}

    @property
    def slowest(self) -> EndpointStats:
        """The endpoint with the highest median."""
        return max(self.last.endpoints, key=lambda endpoint: endpoint.p50_ms)

    @property
    def throughput(self) -> float:
        """Requests per second while all users were there."""
        return self._per_second(lambda report: float(report.requests))

    @property
    def cpu_us_per_request(self) -> float:
        """CPU of all of Locust's processes for one request, in µs, over the same time."""
        per_second = self._per_second(lambda report: report.cpu_seconds)
        return 1e6 * per_second / self.throughput if self.throughput else float("nan")

    def cpu_us_in_parts(self, parts: int) -> Floats:
        """The same in so many equal parts of that time, shape (parts,).

        NaN for a part in which no request was answered, or no report came.
        """
        live = self.live
        borders = np.linspace(live[0].seconds, live[-1].seconds, parts + 1)
        seconds = [report.seconds for report in live]
        cpu, requests = (
            np.diff(np.interp(borders, seconds, told))
            for told in ([r.cpu_seconds for r in live], [float(r.requests) for r in live])
        )
        known = (requests > 0) & (np.histogram(seconds, borders)[0] > 0)
        found: Floats = np.divide(1e6 * cpu, requests, out=np.full(parts, np.nan), where=known)
        return found

    @property
    def busy(self) -> float:
        """Cores that Locust's processes used, over the same time."""
        return self._per_second(lambda report: report.cpu_seconds)

    @property
    def message(self) -> str:
        """How much was sent, and which endpoint its users waited for most."""
        if not self.last.endpoints:
            return f"{self.name}: Locust sent nothing"
        slowest = self.slowest
        return (
            f"{self.name}: {self.last.requests:,} requests of {self.users} users, "
            f"{self.last.failures} failed; the slowest is {slowest.name}, "
            f"half of them within {slowest.p50_ms:g} ms"
        )

    def rows(self) -> list[tuple[str, ...]]:
        """One row an endpoint."""
        share = self.throughput / max(self.last.requests, 1)
        return [
            (
                endpoint.name,
                f"{endpoint.requests:,}",
                f"{endpoint.failures:,}",
                a_second(endpoint.requests * share),
                f"{endpoint.p50_ms:g}",
                f"{endpoint.p95_ms:g}" if enough_for(95, endpoint.requests) else "too few",
            )
            for endpoint in self.last.endpoints
        ]

    def notes(self) -> Sequence[str]:
        """Errors first, then what Locust itself cost."""
        cost = (
            f"Locust: {amount(self.processes, 'process')}, {self.cpu_us_per_request:,.0f} µs CPU a "
            f"request, {self.busy:.2f} cores. It rounds times to whole ms."
        )
        problems = (*self.last.errors[:_SHOWN_ERRORS], *self.last.exceptions[:_SHOWN_ERRORS])
        return [*problems, cost]

    def _per_second(self, value: Any) -> float:
        live = self.live
        seconds = live[-1].seconds - live[0].seconds
        return float((value(live[-1]) - value(live[0])) / seconds) if seconds > 0 else 0.0
