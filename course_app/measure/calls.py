"""Client libraries without a web server around them: what does one call cost?

Calls cost tens of microseconds, a request costs hundreds. So calls are timed directly, in
short blocks that take turns, A B B A, on one event loop; every turn gives one paired ratio.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import uvloop

from course_app.measure.comparison import Comparison, Variant
from course_app.measure.noise import NoiseMeter
from course_app.measure.pace import paced
from course_app.measure.probes import Counts, Probe, Reading
from course_app.measure.statistics import Interval
from course_app.measure.subject import Progress, silent

#: One call with its connection open already.
Call = Callable[[], Awaitable[object]]
#: Opens a client, hands out a call, and closes what it opened.
Client = Callable[[], AbstractAsyncContextManager[Call]]

ROUNDS = 24
BLOCK_SECONDS = 0.025
_FEWEST_CALLS = 2
_COUNTED_CALLS = 20
_CALIBRATION_CALLS = 5
#: For clients to close after an interrupt.
_CANCEL_SECONDS = 2.0


@dataclass(frozen=True)
class CallComparison(Comparison):
    """Clients against the first of them.

    ``p50`` is the median call of a block, in ms; ``cpu`` all CPU of this process per call, in µs.
    """

    @property
    def message(self) -> str:
        """How many times as long as with the baseline each client takes."""
        base = self.baseline.name
        said = "; ".join(f"{v.name} {self.cost(v.name)}" for v in self.variants[1:])
        return f"Time of one call as a multiple of {base}: {said}"

    def cost(self, name: str, metric: str | None = None) -> Interval:
        """The inverse of the speed-up: how many times as long as the baseline it takes."""
        return self.speedup(name, metric).inverse()

    def rows(self) -> list[tuple[str, ...]]:
        """Costs, times, and what differs of what PostgreSQL counted."""
        costs = ["1", *(str(self.cost(variant.name)) for variant in self.variants[1:])]
        times = [_three(1e3 * variant.middle("p50")) for variant in self.variants]
        cpu = [_three(variant.middle("cpu")) for variant in self.variants]
        return [
            ("times as long", *costs),
            ("one call, µs", *times),
            ("CPU of the client, µs / call", *cpu),
            *self._counted(differing=True),
        ]

    def notes(self) -> list[str]:
        """How it was measured, and the noise."""
        rounds = self.baseline.rounds[self.metric].size
        how = f"{rounds} rounds of blocks in turns, one call after another; 99 % intervals."
        return [how, str(self.noise)]


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def compare_calls(
    clients: Mapping[str, Client],
    *,
    workload: str,
    metric: str = "p50",
    probe: Probe | None = None,
    rounds: int = ROUNDS,
    progress: Progress = silent,
) -> CallComparison:
    """Open all clients, count some calls of each, then time them in turns.

    Runs on a uvloop of its own in another thread, while this one waits in C. A call that
    blocks (a sync driver in ``async def``) is welcome: nothing else runs on that loop. An interrupt
    ends the calls and closes the clients.

    Args:
        workload: what a call does, for the table.
        probe: counts per call, such as a :class:`PostgresProbe`.
    """
    return _in_a_thread(_compare(clients, workload, metric, probe, rounds, progress))


def _in_a_thread(compared: Coroutine[Any, Any, CallComparison]) -> CallComparison:
    done: Future[CallComparison] = Future()
    running: list[asyncio.Task[CallComparison]] = []
    interrupted = threading.Event()

    async def cancellable() -> CallComparison:
        running.append(asyncio.create_task(compared))
        if interrupted.is_set():  # before there was anything to cancel
            running[0].cancel()
        return await running[0]

    def run() -> None:
        try:
            # Not uvloop.run: from 3.12 on it is asyncio.run, which notebooks have patched.
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(cancellable())
            done.set_result(found)
        except BaseException as error:
            done.set_exception(error)

    try:  # an interrupt may come while the thread starts
        # A daemon: a call that blocks for ever must not keep the process from its end.
        threading.Thread(target=run, name="calls", daemon=True).start()
        return done.result()
    except BaseException:
        if not done.done():  # an interrupt: it came here, and the calls go on there
            interrupted.set()
            _cancel(running)
            wait([done], _CANCEL_SECONDS)
        raise


def _cancel(tasks: Sequence[asyncio.Task[CallComparison]]) -> None:
    for task in tasks:
        with suppress(RuntimeError):  # its loop has closed meanwhile
            task.get_loop().call_soon_threadsafe(task.cancel)


async def _compare(
    clients: Mapping[str, Client],
    workload: str,
    metric: str,
    probe: Probe | None,
    rounds: int,
    progress: Progress,
) -> CallComparison:
    meter = NoiseMeter()
    async with AsyncExitStack() as stack:
        progress("opening the clients")
        calls = [await stack.enter_async_context(client()) for client in clients.values()]
        sizes = [await _calibrated(call) for call in calls]
        counts = [await _counted(call, probe) for call in calls]
        values: list[dict[str, list[float]]] = [
            {"p50": [], "cpu": [], "throughput": []} for _ in calls
        ]
        latencies: list[list[float]] = [[] for _ in calls]
        progress("taking turns")
        meter.resume()
        for number in range(rounds):
            order = range(len(calls)) if number % 2 == 0 else reversed(range(len(calls)))
            for i in order:
                times_ms, cpu_us = await _block(calls[i], sizes[i])
                values[i]["p50"].append(float(np.median(times_ms)))
                values[i]["cpu"].append(cpu_us)
                values[i]["throughput"].append(1e3 / float(np.mean(times_ms)))
                latencies[i] += times_ms
        meter.pause()
    return CallComparison(
        workload=workload,
        concurrency=1,
        metric=metric,
        protocol="calls",
        variants=tuple(
            _variant(name, values[i], latencies[i], counts[i]) for i, name in enumerate(clients)
        ),
        noise=meter.report(),
        generator_busy=0.0,
    )


def _variant(
    name: str, values: Mapping[str, Sequence[float]], latencies: Sequence[float], counts: Counts
) -> Variant:
    rounds = {metric: np.array(rounds) for metric, rounds in values.items()}
    return Variant(name, rounds, np.array(latencies), counts)


async def _calibrated(call: Call) -> int:
    """How many calls fill a block; warms the client up on the way."""
    times_ms, _ = await _block(call, _CALIBRATION_CALLS)
    return max(int(paced(BLOCK_SECONDS) / (min(times_ms) / 1e3)), _FEWEST_CALLS)


async def _counted(call: Call, probe: Probe | None) -> Counts:
    if probe is None:
        return Counts(_COUNTED_CALLS)
    probe.start()
    for _ in range(_COUNTED_CALLS):
        await call()
    wanted = ("SQL statements", "rows")
    readings = (r for r in probe.stop() if r.name in wanted)
    return Counts(
        _COUNTED_CALLS,
        tuple(
            Reading(f"{r.name} per call", round(r.value / _COUNTED_CALLS, 2), per_request=False)
            for r in readings
        ),
    )


async def _block(call: Call, number: int) -> tuple[list[float], float]:
    clock, times = time.perf_counter_ns, []
    cpu_before = time.process_time_ns()
    for _ in range(number):
        began = clock()
        await call()
        times.append((clock() - began) / 1e6)
    return times, max(time.process_time_ns() - cpu_before, 100) / 1e3 / number
