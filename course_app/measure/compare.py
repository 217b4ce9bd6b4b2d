"""How comparisons are made: windows in turns, or single requests in turns.

The protocols and their numbers of pairs were chosen by simulation on recorded noise;
``course bench decisions`` counts wrong verdicts of theirs beside busy loops.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course_app.load import Generator, LoadResult
from course_app.measure.answers import Same, WrongAnswer, compare_answers, errors_of, together
from course_app.measure.collector import small_collections
from course_app.measure.comparison import METRICS, Comparison, Variant
from course_app.measure.noise import NoiseMeter
from course_app.measure.pace import paced
from course_app.measure.probes import Counts
from course_app.measure.probes.asgi import Stamps
from course_app.measure.statistics import WORTH_A_CHANGE, Verdict, speedup_interval
from course_app.measure.subject import (
    Progress,
    Subject,
    count,
    cpu_per_request_us,
    silent,
    warmup_seconds,
)

WINDOW_SECONDS = 0.2
#: A window of slow requests is stretched to hold about this many of them per connection.
_REQUESTS_PER_WINDOW = 3
_LONGEST_WINDOW_SECONDS = 2.0
#: A machine may pause for a whole window; an app that is silent for this long does not answer.
_SILENCE_SECONDS = 5.0

FEWEST_ROUNDS = 6
MOST_ROUNDS = 16
#: An interval this narrow (high / low) is worth showing; a wider one is worth more rounds, until
#: there are ten: what is decided by then is decided.
_NARROW, _ROUNDS_FOR_NARROW = 1.4, 10

#: Alternating single requests: blocks of a run are what the interval is made of.
BLOCKS_PER_RUN = 12
_LEAST_CPU_US = 0.1  # of single requests clocks tell steps: a cost must not read as nothing
RUN_SECONDS = 1.0
FEWEST_RUNS = 2
MOST_RUNS = 6


@dataclass
class _Side:
    """A subject with what its windows have given so far."""

    subject: Subject
    counts: Counts
    warmup_seconds: float = 0.0
    values: dict[str, list[float]] = field(default_factory=lambda: {m: [] for m in METRICS})
    latencies_ms: list[np.ndarray] = field(default_factory=list)
    wrong: list[WrongAnswer] = field(default_factory=list)

    def add(self, load: LoadResult, cpu_us: float) -> None:
        self.wrong += errors_of(self.subject.name, load)
        if not load.completed:
            self.wrong.append(_silent_window(self.subject.name, load))
            return
        self.values["p50"].append(load.percentile(50))
        self.values["throughput"].append(load.throughput)
        self.values["cpu"].append(cpu_us)
        self.latencies_ms.append(load.latency_ms)

    def variant(self) -> Variant:
        rounds = {metric: np.array(values) for metric, values in self.values.items()}
        latencies = np.concatenate(self.latencies_ms) if self.latencies_ms else np.empty(0)
        return Variant(self.subject.name, rounds, latencies, self.counts)


@small_collections()
def compare_windows(
    generator: Generator,
    subjects: Sequence[Subject],
    *,
    metric: str = "p50",
    at_least: float = WORTH_A_CHANGE,
    same_answers: Same = True,
    most_rounds: int = MOST_ROUNDS,
    before_window: Callable[[], object] | None = None,
    window_requests: int | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Compare under concurrent load: short windows in the order A B B A.

    Answers are compared first, causes counted next, then windows follow until each variant
    is decided against ``at_least`` (6 to 16 rounds). The first subject is the baseline.

    Who looks after each round whether it is decided, stops where chance happens to look clear: by
    simulation the 99 % intervals miss the truth in 1 to 2 % of all comparisons instead of in 1 %,
    and in 3 % where the truth lies on the bar.

    Args:
        window_requests: the length of a window in requests instead of seconds. Targets that
            prepared just as many send the same ones in each window, and causes are counted over
            just these, too.
    """
    sides, wrong = _prepare(
        generator, subjects, same_answers, progress, window_requests, before_window
    )
    meter = NoiseMeter([tid for s in subjects for tid in s.thread_ids()])
    lengths = {side.subject.name: _window_length(side, window_requests) for side in sides}
    busy = wall = 0.0
    meter.resume()
    for number in range(0 if wrong else most_rounds):
        width = _NARROW if number < _ROUNDS_FOR_NARROW else math.inf
        if number >= FEWEST_ROUNDS and _settled(sides, metric, at_least, width):
            break
        progress(f"round {number + 1} of {FEWEST_ROUNDS} to {most_rounds}")
        for side in sides if number % 2 == 0 else reversed(sides):
            if before_window is not None:
                before_window()
            load = _one_window(generator, side, lengths[side.subject.name])
            busy += load.generator_cpu_seconds
            wall += load.generator_seconds
        wrong = [example for side in sides for example in side.wrong]
        if wrong:
            break
    meter.pause()
    return _comparison(sides, metric, "windows", meter, busy / max(wall, 1e-9), wrong)


@small_collections()
def compare_requests(
    generator: Generator,
    subjects: Sequence[Subject],
    stamps: Stamps,
    *,
    metric: str = "cpu",
    at_least: float = WORTH_A_CHANGE,
    same_answers: Same = True,
    progress: Progress = silent,
) -> Comparison:
    """Compare single requests by what they cost: one request at a time, in the order A B B A.

    Needs some forty times less time than windows for the same precision, because
    neighbours a millisecond apart share the state of the machine. Each subject must be wrapped in
    :class:`~course_app.measure.probes.asgi.InFlight` with its own number and with ``stamps``.
    Rounds are blocks of requests. A block's CPU is the mean: requests need not be alike.
    """
    sides, wrong = _prepare(generator, subjects, same_answers, progress)
    meter = NoiseMeter([tid for s in subjects for tid in s.thread_ids()])
    busy = wall = 0.0
    meter.resume()
    for number in range(0 if wrong else MOST_RUNS):
        if number >= FEWEST_RUNS and _settled(sides, metric, at_least):
            break
        progress(f"run {number + 1} of {FEWEST_RUNS} to {MOST_RUNS}")
        for seconds in (paced(RUN_SECONDS), _SILENCE_SECONDS):
            stamps.clear()
            loads = generator.alternate([s.target for s in subjects], seconds=seconds)
            if not any(map(_is_silent, loads)):
                break
        busy += sum(load.generator_cpu_seconds for load in loads[:1])
        wall += max(load.generator_seconds for load in loads)
        _add_blocks(sides, loads, stamps)
        wrong = [example for side in sides for example in side.wrong]
        if wrong:
            break
    meter.pause()
    return _comparison(sides, metric, "requests", meter, busy / max(wall, 1e-9), wrong)


def _prepare(
    generator: Generator,
    subjects: Sequence[Subject],
    same: Same,
    progress: Progress,
    window_requests: int | None = None,
    before_window: Callable[[], object] | None = None,
) -> tuple[list[_Side], list[WrongAnswer]]:
    progress("comparing answers")
    wrong = compare_answers(generator, subjects, same)
    if wrong:  # what answers otherwise is not measured at all
        return [_Side(x, Counts(0, ()), latencies_ms=[np.empty(0)]) for x in subjects], wrong
    sides = []
    for subject in subjects:
        progress(f"{subject.name}: counting")
        before = before_window if window_requests else None
        counts, load = count(generator, subject, requests=window_requests, before=before)
        wrong += errors_of(subject.name, load)
        side = _Side(subject, counts, warmup_seconds(load))
        side.latencies_ms.append(load.latency_ms)
        sides.append(side)
    return sides, wrong


def _window_length(side: _Side, requests: int | None) -> Mapping[str, Any]:
    """A slow side's windows are longer, to hold some requests; the others' need not be."""
    counted = side.latencies_ms.pop()
    if requests is not None:
        return {"requests": requests}
    # By the mean: where one kind of request takes most of the time, the median knows nothing of it.
    mean_seconds = float(np.mean(counted)) / 1e3 if counted.size else 0.0
    wanted = max(WINDOW_SECONDS, _REQUESTS_PER_WINDOW * mean_seconds)
    seconds = paced(min(wanted, _LONGEST_WINDOW_SECONDS))
    return {"seconds": seconds, "warmup_seconds": side.warmup_seconds}


def _one_window(generator: Generator, side: _Side, length: Mapping[str, Any]) -> LoadResult:
    before = side.subject.work()
    load = generator.closed(side.subject.target, **length)
    if _is_silent(load) and "seconds" in length:
        before = side.subject.work()
        load = generator.closed(side.subject.target, **{**length, "seconds": _SILENCE_SECONDS})
    side.add(load, cpu_per_request_us(before, side.subject.work(), load.served))
    return load


def _settled(sides: Sequence[_Side], metric: str, at_least: float, width: float = _NARROW) -> bool:
    baseline = np.log(sides[0].values[metric])
    sign = -1 if metric == "throughput" else 1
    for side in sides[1:]:
        interval = speedup_interval(sign * (baseline - np.log(side.values[metric])))
        if interval.verdict(at_least) is Verdict.CANNOT_TELL:
            return False
        if interval.high / interval.low > width:
            return False
    return True


def _add_blocks(sides: Sequence[_Side], loads: Sequence[LoadResult], stamps: Stamps) -> None:
    numbers = np.array([number for number, _ in stamps[:-1]])
    costs_us = np.maximum(np.diff([cpu_ns for _, cpu_ns in stamps]) / 1e3, _LEAST_CPU_US)
    own_costs = [costs_us[numbers == index] for index in range(len(sides))]
    fewest = min(min(own.size for own in own_costs), min(load.completed for load in loads))
    blocks = min(BLOCKS_PER_RUN, fewest)
    for side, load, own in zip(sides, loads, own_costs, strict=True):
        side.wrong += errors_of(side.subject.name, load)
        if blocks == 0:
            side.wrong.append(_silent_window(side.subject.name, load))
            continue
        side.latencies_ms.append(load.latency_ms)
        latencies = np.array_split(load.latency_ms, blocks)
        side.values["cpu"] += [float(np.mean(block)) for block in np.array_split(own, blocks)]
        side.values["p50"] += [float(np.median(block)) for block in latencies]
        side.values["throughput"] += [float(1e3 / np.mean(block)) for block in latencies]


def _is_silent(load: LoadResult) -> bool:
    return not load.completed and not load.errors


def _silent_window(name: str, load: LoadResult) -> WrongAnswer:
    seconds = f"{load.window_seconds:.2f} s"
    return WrongAnswer(name, "all requests", f"answers within {seconds}", "none at all")


def _comparison(
    sides: Sequence[_Side],
    metric: str,
    protocol: str,
    meter: NoiseMeter,
    generator_busy: float,
    wrong: Sequence[WrongAnswer],
) -> Comparison:
    target = sides[0].subject.target
    return Comparison(
        workload=target.workload.describe(),
        concurrency=1 if protocol == "requests" else target.concurrency,
        metric=metric,
        protocol=protocol,
        variants=tuple(side.variant() for side in sides),
        noise=meter.report(),
        generator_busy=generator_busy,
        wrong=together(wrong),
    )
