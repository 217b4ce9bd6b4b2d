"""Runs inside of Locust: tells its live figures, and keeps it to this machine.

Loaded as a further locustfile (``locust -f course_reporter.py,...``). It needs two environment
variables: ``COURSE_LOCUST_REPORT``, the file to write to, and ``COURSE_LOCUST_SECONDS``, how long
users run. Every process of a distributed test loads it; the one that has the figures writes them.
"""

import ipaddress
import json
import os
import sys
import time
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]
import locust
import locust.runners

REPORT_SECONDS = 0.25

#: Workers send their figures every three seconds otherwise.
locust.runners.WORKER_REPORT_INTERVAL = REPORT_SECONDS

#: Requests and failures by the first part of the path, whatever name the locustfile gives them.
_routes: dict[str, list[int]] = defaultdict(lambda: [0, 0])

#: CPU of each worker, as of the figures that came with it: so counts and costs are of one moment.
_workers_cpu_seconds: dict[str, float] = {}


def _only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise PermissionError(f"load tests of this course stay on this machine, not {host}")


sys.addaudithook(_only_loopback)


def _count(url: str = "", exception: object = None, **_details: Any) -> None:
    route = _routes["/" + urlsplit(str(url)).path.lstrip("/").partition("/")[0]]
    route[0] += 1
    route[1] += exception is not None


def _tell_cpu(data: dict[str, Any], **_: Any) -> None:
    data["cpu_seconds"] = time.process_time()


def _hear_cpu(client_id: str, data: dict[str, Any], **_: Any) -> None:
    _workers_cpu_seconds[client_id] = float(data.get("cpu_seconds", 0.0))


def _begin(environment: Any, **_: Any) -> None:
    if not isinstance(environment.runner, locust.runners.WorkerRunner):
        gevent.spawn(_report, environment)


def _end_in_time(environment: Any, **_: Any) -> None:
    """Stop in time, or when the last user has gone.

    Locust's own run time begins before its start-up is over: that may be half of a short run.
    """
    if not isinstance(environment.runner, locust.runners.WorkerRunner):
        gevent.spawn(_quit_at, environment, time.monotonic() + _seconds())


def _seconds() -> float:
    return float(os.environ["COURSE_LOCUST_SECONDS"])


def _quit_at(environment: Any, deadline: float) -> None:
    runner, seen = environment.runner, False
    while (left := deadline - time.monotonic()) > 0 and not (seen and not runner.user_count):
        seen = seen or runner.user_count > 0
        gevent.sleep(min(left, REPORT_SECONDS))
    try:
        _write(environment)
    finally:
        runner.quit()


def _end(environment: Any, **_: Any) -> None:
    if not isinstance(environment.runner, locust.runners.WorkerRunner):
        _write(environment, done=True)


def _report(environment: Any) -> None:
    while True:
        _write(environment)
        gevent.sleep(REPORT_SECONDS)


def _write(environment: Any, *, done: bool = False) -> None:
    stats = environment.runner.stats
    line = {
        "done": done,
        "users": environment.runner.user_count,
        "processes": 1 + len(_workers_cpu_seconds),
        "cpu_seconds": time.process_time() + sum(_workers_cpu_seconds.values()),
        "entries": [_entry(entry) for entry in stats.entries.values()],
        "errors": [
            {"name": error.name, "error": str(error.error), "times": error.occurrences}
            for error in stats.errors.values()
        ],
        "exceptions": [str(each["msg"]) for each in environment.runner.exceptions.values()],
        "routes": dict(_routes),
    }
    with open(os.environ["COURSE_LOCUST_REPORT"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _entry(entry: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "method": entry.method,
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "p50_ms": entry.get_response_time_percentile(0.5),
        "p95_ms": entry.get_response_time_percentile(0.95),
    }


_events: Any = locust.events
_events.request.add_listener(_count)
_events.report_to_master.add_listener(_tell_cpu)
_events.worker_report.add_listener(_hear_cpu)
_events.init.add_listener(_begin)
_events.test_start.add_listener(_end_in_time)
_events.quitting.add_listener(_end)
