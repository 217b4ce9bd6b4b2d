"""Does the load generator keep up with wrk, and at what cost in CPU?"""

import math
import os
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import BenchResult, answered
from course_app.errors import CourseError
from course_app.load import Generator, Target
from course_app.measure.statistics import Interval, mean_interval
from course_app.serving import ProcessServer

#: What the house promises, both at 16 requests in flight.
LEAST_THROUGHPUT_RATIO = 0.9
MOST_CPU_RATIO = 1.3

CONCURRENCY = 16
#: wrk takes whole seconds; both get the same.
WINDOW_SECONDS = 1
PAIRS = 12
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Side:
    """One program in one window: requests per second, and its own CPU time for each."""

    throughput: float
    cpu_us: float


@dataclass(frozen=True)
class AgainstWrk:
    """The generator against wrk, in windows that alternate.

    Attributes:
        ours, wrk: one for each pair of windows; ``wrk`` is empty where it is missing.
        throughput, cpu: generator / wrk, from the pairs (95 %); None without wrk.
        errors: requests that the generator found not answered rightly.
    """

    ours: tuple[Side, ...]
    wrk: tuple[Side, ...]
    throughput: Interval | None
    cpu: Interval | None
    errors: int


async def plain_hello(
    scope: dict[str, Any],
    _receive: object,
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The smallest ASGI app: the faster the server, the more a generator's own cost shows."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"12")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello, world"})


def against_wrk(pairs: int) -> AgainstWrk:
    """Compare on one uvicorn process, in at least two pairs of 2 s each.

    Without wrk, only the generator is measured.
    """
    program = shutil.which("wrk")
    ours: list[Side] = []
    wrk: list[Side] = []
    errors = 0
    with ProcessServer(f"{__name__}:plain_hello") as server, Generator() as generator:
        target = generator.connect(server.url, "/", concurrency=CONCURRENCY)
        generator.closed(target, seconds=WINDOW_SECONDS)
        for pair in range(pairs):
            if program and pair % 2 == 0:
                wrk.append(_wrk(program, server.url))
            side, wrong = _ours(generator, target)
            ours.append(side)
            errors += wrong
            if program and pair % 2 == 1:
                wrk.append(_wrk(program, server.url))
    return AgainstWrk(
        ours=tuple(ours),
        wrk=tuple(wrk),
        throughput=_ratio([(a.throughput, b.throughput) for a, b in zip(ours, wrk, strict=False)]),
        cpu=_ratio([(a.cpu_us, b.cpu_us) for a, b in zip(ours, wrk, strict=False)]),
        errors=errors,
    )


def run() -> BenchResult:
    """Measure, and hold the generator to its promise."""
    found = against_wrk(PAIRS)
    throughput, cpu = found.throughput, found.cpu
    return BenchResult(
        title=f"Load generator and wrk; plain uvicorn, {CONCURRENCY} requests in flight",
        columns=("what", "generator", "wrk", "ratio", "95 % interval"),
        rows=[
            _row("requests per second", found, throughput, lambda side: side.throughput),
            _row("client CPU per request, us", found, cpu, lambda side: side.cpu_us),
        ],
        requirements={
            f"at least {LEAST_THROUGHPUT_RATIO} of wrk's throughput": (
                throughput.above(LEAST_THROUGHPUT_RATIO) if throughput else None
            ),
            f"at most {MOST_CPU_RATIO} of wrk's CPU per request": (
                cpu.below(MOST_CPU_RATIO) if cpu else None
            ),
            "every answer was right": found.errors == 0,
        },
        figures={
            "throughput_ratio": throughput.to_dict() if throughput else None,
            "cpu_ratio": cpu.to_dict() if cpu else None,
            "generator_requests_per_second": [side.throughput for side in found.ours],
            "generator_cpu_us_per_request": [side.cpu_us for side in found.ours],
            "wrk_requests_per_second": [side.throughput for side in found.wrk],
            "wrk_cpu_us_per_request": [side.cpu_us for side in found.wrk],
        },
        notes=() if found.wrk else ("wrk is not installed here: nothing to compare with.",),
    )


def _ours(generator: Generator, target: Target) -> tuple[Side, int]:
    load = answered(generator.closed(target, seconds=WINDOW_SECONDS))
    cpu_us = 1e6 * load.generator_cpu_seconds / load.completed
    return Side(load.throughput, cpu_us), load.error_count


def _wrk(program: str, url: str) -> Side:
    command = [program, "-t1", f"-c{CONCURRENCY}", f"-d{WINDOW_SECONDS}s", f"{url}/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    requests = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if not requests or not rate or "Non-2xx" in said:
        raise CourseError(f"wrk could not measure {url}. It printed: {said.strip()}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Side(float(rate[1]), 1e6 * cpu_seconds / max(1, int(requests[1])))


def _ratio(pairs: list[tuple[float, float]]) -> Interval | None:
    if not pairs:
        return None
    return mean_interval([math.log(ours / wrk) for ours, wrk in pairs], _CONFIDENCE).exp()


def _row(
    what: str, found: AgainstWrk, ratio: Interval | None, value: Callable[[Side], float]
) -> tuple[str, ...]:
    shown = [_range([value(side) for side in sides]) for sides in (found.ours, found.wrk)]
    if ratio is None:
        return (what, *shown, "-", "-")
    return (what, *shown, f"{ratio.estimate:.2f}", f"[{ratio.low:.2f}, {ratio.high:.2f}]")


def _range(values: list[float]) -> str:
    if not values:
        return "-"
    middle = sorted(values)[len(values) // 2]
    return f"{middle:.4g} [{min(values):.4g} to {max(values):.4g}]"
