"""Locust, run in processes of its own: it patches the standard library of whoever imports it.

What Locust knows while it runs comes back line by line (:mod:`locust_plugin.course_reporter`). It
sends to loopback addresses only, is bounded in time and users, and ends when its owner ends.
"""

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_app.load.limits import LoadError, loopback_address, within
from course_app.load.locust_plugin import course_reporter_path
from course_app.processes import OwnedProcess

MOST_SECONDS = 30
MOST_USERS = 200
MOST_WORKERS = 4
_LOOK_AGAIN_SECONDS = 0.05
#: Reading Locust from a busy disk, and its workers' meeting, take their time.
_START_SECONDS, _END_SECONDS = 25.0, 10.0
#: Tasks that have begun may finish, so that every request has its answer.
_STOP_TIMEOUT = "2"
#: Locust's own bound, should the reporter not end it.
_SAFETY_SECONDS = 60
_GRACE_SECONDS = 0.5

Progress = Callable[[str], None]


class LocustFailed(LoadError):
    """Locust ended without figures; the message holds what it said."""


@dataclass(frozen=True)
class EndpointStats:
    """What Locust counted under one name. Locust rounds times: to 1 ms below 100, then to 10."""

    name: str
    requests: int
    failures: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class SwarmReport:
    """What was known at one moment; ``seconds`` since the first request, counts since the start.

    ``cpu_seconds`` is what all of Locust's processes had used by then. ``routes`` holds requests
    and failures by the first part of the path (of a single process only).
    """

    seconds: float
    users: int
    endpoints: tuple[EndpointStats, ...]
    cpu_seconds: float
    processes: int
    errors: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    routes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All requests so far."""
        return sum(endpoint.requests for endpoint in self.endpoints)

    @property
    def failures(self) -> int:
        """All of them that failed."""
        return sum(endpoint.failures for endpoint in self.endpoints)


def run_swarm(
    locustfile: str,
    url: str,
    *,
    users: int,
    seconds: float,
    workers: int = 0,
    plugins: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[SwarmReport, ...]:
    """Run a locustfile against a server of this machine; every report, the last one is final.

    Args:
        locustfile: its text.
        workers: 0: one process does it all; else so many workers, and a master that collects
            their figures.
        plugins: files that Locust loads before all others.
        env: Locust's environment; this process's by default.
        progress: takes a few words at each report.

    Raises:
        LocustFailed: it ended without figures, or did not end.
        NotLoopback, OutOfBounds: it was not started.
    """
    loopback_address(url)
    within("users", users, 1, MOST_USERS)
    within("seconds", seconds, 0.2, MOST_SECONDS)
    within("workers", workers, 0, MOST_WORKERS)
    folder = Path(tempfile.mkdtemp(prefix="course-locust-"))
    # Written by Locust's process, which may be another user's by then.
    report = folder / "report"
    told = {"COURSE_LOCUST_REPORT": str(report), "COURSE_LOCUST_SECONDS": str(seconds)}
    environment = {**(os.environ if env is None else env), **told}
    try:
        (folder / "locustfile.py").write_text(locustfile, encoding="utf-8")
        files = [*plugins, course_reporter_path(), folder / "locustfile.py"]
        command = _command(files, url, users, workers)
        process = OwnedProcess(command, env=environment, cwd=folder, remove=[folder])
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # there is no process whose keeper would
        raise
    try:
        watched = _watched(process, report, seconds, progress or _silent)
        return tuple(_from_first_request(list(watched)))
    finally:
        # All figures are known; what Locust still does is to wait for its workers.
        process.stop(grace_seconds=_GRACE_SECONDS)


def _command(files: Sequence[Path], url: str, users: int, workers: int) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "-f", ",".join(map(str, files)), "--host", url),
        *("--headless", "--users", str(users), "--spawn-rate", str(users)),
        *("--run-time", f"{_SAFETY_SECONDS}s", "--stop-timeout", _STOP_TIMEOUT),
        *("--only-summary", "--loglevel", "WARNING"),
        *(_distributed(workers) if workers else ()),
    ]


def _distributed(workers: int) -> tuple[str, ...]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return (
        *("--processes", str(workers), "--master-bind-host", "127.0.0.1"),
        *("--master-bind-port", port, "--master-host", "127.0.0.1", "--master-port", port),
    )


def _watched(
    process: OwnedProcess, report: Path, seconds: float, progress: Progress
) -> Iterator[tuple[float, SwarmReport, bool]]:
    """Reports as they come, with the time of each, until the final one."""
    deadline = time.monotonic() + _START_SECONDS + seconds + _END_SECONDS
    rest, place = "", 0
    while time.monotonic() < deadline:
        ended = not process.running  # asked before reading, so that nothing is missed
        more, place = _read_from(report, place)
        *complete, rest = (rest + more).split("\n")
        for line in complete:
            now, done = _read(line)
            yield time.monotonic(), now, done
            if done:
                return
            progress(_live(now))
        if ended:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    if said := process.output_tail(12).strip():
        raise LocustFailed(f"Locust gave no figures. It said:\n{said}")
    raise LocustFailed(
        "Locust gave no figures; run the cell once more. It said nothing: on a busy machine it "
        "starts too late."
    )


def _read_from(file: Path, place: int) -> tuple[str, int]:
    """What has been written since then, and the place to go on from."""
    try:
        with file.open("rb") as written:
            written.seek(place)
            data = written.read()
    except FileNotFoundError:
        return "", place
    return data.decode(errors="replace"), place + len(data)


def _from_first_request(
    watched: Sequence[tuple[float, SwarmReport, bool]],
) -> Iterator[SwarmReport]:
    began = next((at for at, report, _ in watched if report.requests), watched[-1][0])
    for at, report, done in watched:
        if report.requests or done:
            yield SwarmReport(**{**vars(report), "seconds": at - began})


def _read(line: str) -> tuple[SwarmReport, bool]:
    try:
        told = json.loads(line)
        return _report(told), bool(told["done"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The locustfile runs in the same process as the reporter, and may spoil what it writes.
        raise LocustFailed(f"Locust's figures cannot be read ({error!r}).") from error


def _report(told: Mapping[str, Any]) -> SwarmReport:
    return SwarmReport(
        seconds=0.0,
        users=told["users"],
        endpoints=tuple(
            EndpointStats(
                _named(entry["method"], entry["name"]),
                entry["requests"],
                entry["failures"],
                float(entry["p50_ms"]),
                float(entry["p95_ms"]),
            )
            for entry in sorted(told["entries"], key=lambda entry: str(entry["name"]))
        ),
        cpu_seconds=float(told["cpu_seconds"]),
        processes=told["processes"],
        errors=tuple(f"{e['times']} x {e['name']}: {e['error']}" for e in told["errors"]),
        exceptions=tuple(told["exceptions"]),
        routes={route: (count[0], count[1]) for route, count in told["routes"].items()},
    )


def _named(method: str, name: str) -> str:
    return name if method == "GET" else f"{method} {name}"


def _live(report: SwarmReport) -> str:
    slowest = max(report.endpoints, key=lambda endpoint: endpoint.p50_ms, default=None)
    if slowest is None:
        return "starting"
    return (
        f"{report.users} users, {report.requests:,} requests, {report.failures} failed, "
        f"slowest {slowest.name} with {slowest.p50_ms:.0f} ms"
    )


def _silent(_text: str) -> None: ...
