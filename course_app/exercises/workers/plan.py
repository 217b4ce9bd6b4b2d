"""What a plan says: for each service a server, workers, a pool, and what was measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from course_app.load import Workload, as_workload, get, uniform
from course_app.serving import Program

#: The text of the exercise names these.
MOST_WORKERS = 8
MOST_CONNECTIONS = 12
MOST_MEMORY_MB = 300
REPORTS_PER_SECOND = 300
FEWEST_WINDOWS = 3
#: For so long a report holds a connection.
REPORT_SECONDS = 0.025

#: What clients ask of each service, and how many of them there are.
TRAFFIC: Mapping[str, Workload] = {
    "computes": as_workload("/computes"),
    "waits": as_workload("/waits"),
    "reports": as_workload(get("/reports/{id}", id=uniform(1, 100_000))),
}
CLIENTS = {"computes": 16, "waits": 64, "reports": 48}
SERVICES = tuple(TRAFFIC)

_PROGRAMS: tuple[Program, ...] = get_args(Program)
_MOST = 1000
_FORM = (
    '{"computes": {"server": "uvicorn", "workers": 1, "pool": 0, "measured": {"1": [...]}}, '
    '"waits": ..., "reports": ...}'
)


class Unreadable(ValueError):
    """The plan says not what a plan has to say; the text is a sentence."""


@dataclass(frozen=True)
class Choice:
    """How one service is to run. ``pool`` is the number of connections of each worker."""

    server: Program
    workers: int
    pool: int
    measured: Mapping[int, tuple[float, ...]]

    @property
    def connections(self) -> int:
        """What all workers open together."""
        return self.workers * self.pool


Plan = Mapping[str, Choice]


def read_plan(data: Any) -> Plan:
    """The plan in an answer's JSON.

    Raises:
        Unreadable: something is missing or is not what it should be.
    """
    if not isinstance(data, Mapping) or set(data) != set(SERVICES):
        raise Unreadable(f"The answer has to be of the form {_FORM}.")
    return {service: _choice(service, data[service]) for service in SERVICES}


def _choice(service: str, data: Any) -> Choice:
    entry: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
    server, workers, pool = entry.get("server"), entry.get("workers"), entry.get("pool")
    if server not in _PROGRAMS:
        raise Unreadable(f"{service}: server is one of {', '.join(_PROGRAMS)}, not {server!r}.")
    if type(workers) is not int or not 1 <= workers <= _MOST:
        raise Unreadable(f"{service}: workers is a whole number from 1, not {workers!r}.")
    if type(pool) is not int or not 0 <= pool <= _MOST:
        raise Unreadable(f"{service}: pool is a whole number from 0, not {pool!r}.")
    return Choice(server, workers, pool, _measured(entry.get("measured")))


def _measured(data: Any) -> dict[int, tuple[float, ...]]:
    """Windows by number of workers; what cannot be read counts as not measured."""
    found = {}
    for workers, windows in data.items() if isinstance(data, Mapping) else ():
        if str(workers).isdecimal() and isinstance(windows, list) and all(map(_is_rate, windows)):
            found[int(workers)] = tuple(map(float, windows))
    return found


def _is_rate(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0
