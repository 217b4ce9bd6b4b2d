"""Does a server in a thread keep up with one in a process, and what does nest-asyncio2 cost it?"""

import math
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from benchmarks import BenchResult, answered
from course_app.apps import hello
from course_app.errors import CourseError
from course_app.load import Generator, LoadResult, Target
from course_app.measure.statistics import Interval, mean_interval
from course_app.processes import OwnedProcess
from course_app.serving import ProcessServer, ThreadServer
from course_app.system.usage import cpu_seconds

#: What the house promises.
LEAST_THROUGHPUT_RATIO = 0.95
MOST_NEST_CPU_RATIO = 1.03

#: The app that answers at once: no work of its own hides what serving costs.
PATH = "/hello"
CONCURRENCY = 16
WINDOW_SECONDS = 0.25
WARMUP_SECONDS = 0.03
#: Windows of each side within a pair, in the order A B B A.
ROUNDS = 4
#: Alternating single requests of one pair.
ALTERNATE_SECONDS = 0.8
#: Two processes differ by some 5 % for reasons of their own (where their memory lies, on
#: which core they run), however long one measures: so each pair is made of fresh ones.
PAIRS = 16
_CONFIDENCE = 0.95

_HOST_START_SECONDS = 20.0
#: A process that serves from a thread, while its main thread waits in C as a notebook's does.
_HOST = """
import time, uvloop, nest_asyncio2
{patch}
from course_app.apps.hello import app
from course_app.serving import ThreadServer
server = ThreadServer(app)
print(f"port {{server.port}}", flush=True)
while True:
    time.sleep(3600)
"""
#: As the lab does it: after uvloop has been imported.
_PATCH = "nest_asyncio2.apply()"


@dataclass(frozen=True)
class PairedRatio:
    """How two ways to serve the same app compare, over pairs of freshly started servers.

    Attributes:
        metric: what was divided by what.
        ratios: one for each pair.
        interval: of the ratio, from the pairs (95 %).
    """

    metric: str
    ratios: tuple[float, ...]
    interval: Interval


@dataclass(frozen=True)
class ThreadAgainstProcess:
    """A server in a thread of this process against a uvicorn process.

    Attributes:
        at_once: requests per second, thread / process, 16 requests in flight.
        one_by_one: the same with single requests in turns, from the median service times.
        errors: requests that were not answered rightly.
    """

    at_once: PairedRatio
    one_by_one: PairedRatio
    errors: int


@dataclass(frozen=True)
class NestCost:
    """A server in a process that nest-asyncio2 has patched, against one in a process as it was.

    Attributes:
        cpu: CPU per request, patched / not, single requests in turns.
        errors: requests that were not answered rightly.
    """

    cpu: PairedRatio
    errors: int


def thread_against_process(generator: Generator, pairs: int = PAIRS) -> ThreadAgainstProcess:
    """Compare throughput; takes about 4 s a pair."""
    at_once, one_by_one, errors = [], [], 0
    for _ in range(pairs):
        with ThreadServer(hello.app) as inside, ProcessServer(f"{hello.__name__}:app") as outside:
            windows = _windows(generator, inside.url, outside.url)
            turns = _turns(generator, inside.url, outside.url)
        at_once.append(_mean_log_ratio(windows))
        one_by_one.append(math.log(_median_ns(turns[1]) / _median_ns(turns[0])))
        errors += sum(load.error_count for load in [*turns, *windows])
    return ThreadAgainstProcess(
        at_once=_ratio(f"throughput, {CONCURRENCY} at once: thread / process", at_once),
        one_by_one=_ratio("throughput, one by one: thread / process", one_by_one),
        errors=errors,
    )


def nest_asyncio_cost(generator: Generator, pairs: int = PAIRS) -> NestCost:
    """Compare CPU per request; takes about 2 s a pair."""
    logs, errors = [], 0
    for _ in range(pairs):
        with _hosts(_PATCH, "") as hosts:
            urls = [_url(host) for host in hosts]
            before = [_cpu_seconds(host.pid) for host in hosts]
            turns = _turns(generator, *urls)
            after = [_cpu_seconds(host.pid) for host in hosts]
        used = [(b - a) / load.completed for a, b, load in zip(before, after, turns, strict=True)]
        logs.append(math.log(used[0] / used[1]))
        errors += sum(load.error_count for load in turns)
    return NestCost(_ratio("CPU per request: patched by nest-asyncio2 / not", logs), errors)


def _cpu_seconds(pid: int) -> float:
    used = cpu_seconds(pid)
    return math.nan if used is None else used


def run() -> BenchResult:
    """Measure both, on an app that answers at once."""
    with Generator() as generator:
        servers = thread_against_process(generator)
        nest = nest_asyncio_cost(generator)
    results = (servers.at_once, servers.one_by_one, nest.cpu)
    least, most = LEAST_THROUGHPUT_RATIO, MOST_NEST_CPU_RATIO
    return BenchResult(
        title=f"Servers in a thread; {PAIRS} pairs of fresh servers each",
        columns=("what", "ratio", "95 % interval"),
        rows=[_row(result) for result in results],
        requirements={
            f"{CONCURRENCY} at once, a thread has {least} of a process's throughput": (
                servers.at_once.interval.above(least)
            ),
            f"one by one, a thread has {least} of a process's throughput": (
                servers.one_by_one.interval.above(least)
            ),
            f"nest-asyncio2 costs under {most - 1:.0%}": nest.cpu.interval.below(most),
            "every answer was right": servers.errors + nest.errors == 0,
        },
        figures={result.metric: result.interval.to_dict() for result in results},
    )


def _row(result: PairedRatio) -> tuple[str, str, str]:
    interval = result.interval
    limits = f"[{interval.low:.3f}, {interval.high:.3f}]"
    return result.metric, f"{interval.estimate:.3f}", limits


def _ratio(metric: str, logs: list[float]) -> PairedRatio:
    interval = mean_interval(logs, _CONFIDENCE).exp()
    return PairedRatio(metric, tuple(math.exp(value) for value in logs), interval)


def _windows(generator: Generator, a: str, b: str) -> list[LoadResult]:
    """Windows of both servers in the order A B B A, so that drift falls on both alike."""
    with (
        _connected(generator, a, CONCURRENCY) as first,
        _connected(generator, b, CONCURRENCY) as second,
    ):
        order = [(first, second) if turn % 2 == 0 else (second, first) for turn in range(ROUNDS)]
        return [
            answered(
                generator.closed(target, seconds=WINDOW_SECONDS, warmup_seconds=WARMUP_SECONDS)
            )
            for pair in order
            for target in pair
        ]


def _mean_log_ratio(windows: list[LoadResult]) -> float:
    """Mean of log(A / B) of windows in the order A B B A."""
    signs = (1, -1, -1, 1)
    logs = [signs[i % 4] * math.log(load.throughput) for i, load in enumerate(windows)]
    return 2 * math.fsum(logs) / len(logs)


def _turns(generator: Generator, a: str, b: str) -> list[LoadResult]:
    with _connected(generator, a, 1) as first, _connected(generator, b, 1) as second:
        loads = generator.alternate([first, second], seconds=ALTERNATE_SECONDS)
        return [answered(load) for load in loads]


def _median_ns(load: LoadResult) -> float:
    return float(np.median(load.end_ns - load.start_ns))


@contextmanager
def _connected(generator: Generator, url: str, concurrency: int) -> Iterator[Target]:
    target = generator.connect(url, PATH, concurrency=concurrency)
    try:
        generator.closed(target, requests=200)
        yield target
    finally:
        generator.disconnect(target)


@contextmanager
def _hosts(*patches: str) -> Iterator[list[OwnedProcess]]:
    """Processes with a server each, all starting at the same time."""
    with ExitStack() as stack:
        commands = [[sys.executable, "-c", _HOST.format(patch=patch)] for patch in patches]
        yield [stack.enter_context(OwnedProcess(command)) for command in commands]


def _url(host: OwnedProcess) -> str:
    """Where the host's server listens, as soon as it says so."""
    deadline = time.monotonic() + _HOST_START_SECONDS
    while not (said := re.search(r"port (\d+)", host.output_tail())):
        if not host.running or time.monotonic() > deadline:
            raise CourseError(f"A server process did not start. It printed: {host.output_tail()}")
        time.sleep(0.02)
    return f"http://127.0.0.1:{said[1]}"
