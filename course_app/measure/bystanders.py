"""What one request does to everybody else's, during its answer and after it.

Short requests, the bystanders, arrive every few milliseconds, whatever happens. In the middle of
them comes the one in question, the trigger. Both are stamped by the same clock.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from course_app.load import Generator, LoadResult, Target
from course_app.measure.answers import WrongAnswer, errors_of, together
from course_app.measure.probes import Counts
from course_app.measure.result import Result
from course_app.measure.statistics import Floats, Interval, geometric_mean, significant
from course_app.measure.subject import Progress, Subject, counting, require_in_time, silent

_THREE_DIGITS_FROM_MS = 100.0
#: No logarithm is of nothing.
_LEAST_MS = 1e-3
#: How long bystanders are watched before the trigger is sent: what is usual here.
BEFORE_SECONDS = 0.1


@dataclass(frozen=True)
class Repeat:
    """One trigger and its bystanders, in ms since the trigger was sent.

    ``due_ms`` and ``latency_ms`` have shape (bystanders,): when each was due (below zero:
    before the trigger), and how long after that its answer was there. ``answered_ms`` has shape
    (triggers,): what each client of the trigger waited.
    """

    due_ms: Floats
    latency_ms: Floats
    answered_ms: Floats

    @property
    def slowest_ms(self) -> float:
        """The greatest latency of those whose answer came after the trigger was sent."""
        after = self.due_ms + self.latency_ms > 0
        return float(self.latency_ms[after].max(initial=0.0))


@dataclass(frozen=True)
class Bystanders(Result):
    """For each app, repeats of one trigger among short requests, and what was counted in one more.

    ``counts`` has the event loop's greatest lag and the worker threads that were busy, where the
    app is served by a thread of this process.
    """

    series: Mapping[str, Sequence[Repeat]]
    counts: Mapping[str, Counts]
    trigger: str
    bystander: str
    every_ms: float
    triggers: int = 1
    wrong: tuple[WrongAnswer, ...] = ()

    @property
    def columns(self) -> Sequence[str]:
        """The table's head."""
        first = ("app", f"{self.trigger}: answered after, ms", f"slowest {self.bystander}, ms")
        return (*first, *self._counted)

    @property
    def _counted(self) -> Sequence[str]:
        first = next(iter(self.counts.values()))
        return [label for label in _COUNTED if label in first.as_text()]

    def answered(self, name: str) -> Interval:
        """What a client of that app's trigger waits, in ms, with its 99 % interval."""
        return geometric_mean([each.answered_ms.max() for each in self.series[name]])

    def slowest(self, name: str) -> Interval:
        """The longest wait of a bystander, in ms, with its 99 % interval.

        The geometric mean over repeats: a busy machine multiplies waits.
        """
        slowest_ms = [each.slowest_ms for each in self.series[name]]
        return geometric_mean(np.maximum(slowest_ms, _LEAST_MS))

    @property
    def message(self) -> str:
        """For how long each app made others wait."""
        if self.wrong:
            return f"Answers were wrong. {self.wrong[0]}"
        waits = (f"{n}: {_milliseconds(self.slowest(n))} ms" for n in self.series)
        return f"The slowest {self.bystander} around {self.trigger} - {'; '.join(waits)}"

    def rows(self) -> list[tuple[str, ...]]:
        """One row an app."""
        return [
            (
                name,
                _milliseconds(self.answered(name)),
                _milliseconds(self.slowest(name)),
                *(self.counts[name].as_text()[label] for label in self._counted),
            )
            for name in self.series
        ]

    def notes(self) -> Sequence[str]:
        """Wrong answers, then what was sent."""
        repeats = len(next(iter(self.series.values())))
        sent = (
            f"{self.bystander} every {self.every_ms:g} ms; {self.triggers} x {self.trigger}, "
            f"{repeats} times; 99 % intervals."
        )
        return [*(str(example) for example in self.wrong[1:]), sent]


_COUNTED = ("max loop lag, ms", "worker threads busy")


@dataclass(frozen=True)
class Scene:
    """An app's connections: for short requests, and on a generator of its own for the trigger."""

    everybody: Subject
    triggers: Target

    def play(
        self, generators: tuple[Generator, Generator], every_ms: float, seconds: float
    ) -> tuple[LoadResult, LoadResult]:
        """The results of one repeat."""
        return around(generators, self.everybody.target, self.triggers, every_ms, seconds)


def bystanders(
    generators: tuple[Generator, Generator],
    scenes: Mapping[str, AbstractContextManager[Scene]],
    *,
    every_ms: float = 10.0,
    seconds: float = 0.5,
    repeats: int = 6,
    progress: Progress = silent,
) -> Bystanders:
    """Watch short requests around a trigger, app by app.

    Args:
        generators: for the bystanders, and for the trigger. The trigger is sent as often at
            once as its target has connections.
        scenes: opened one after another, so that no app disturbs another one's bystanders.
        seconds: how long bystanders arrive; the trigger comes after the first 0.1 s.
    """
    series: dict[str, list[Repeat]] = {}
    counts: dict[str, Counts] = {}
    wrong: list[WrongAnswer] = []
    for name, opening in scenes.items():
        with opening as scene:
            warm = generators[0].closed(scene.everybody.target, requests=4)
            require_in_time(scene.everybody.server, warm)
            series[name] = []
            for number in range(repeats):
                progress(f"{name}, {number + 1} of {repeats}")
                loads = scene.play(generators, every_ms, seconds)
                series[name].append(_repeat(*loads))
                wrong += [error for load in loads for error in errors_of(name, load)]
            counts[name] = _counted(generators, scene, every_ms, seconds)
    return Bystanders(
        series,
        counts,
        scene.triggers.workload.describe(),
        scene.everybody.target.workload.describe(),
        every_ms,
        scene.triggers.concurrency,
        together(wrong),
    )


def around(
    generators: tuple[Generator, Generator],
    everybody: Target,
    triggers: Target,
    every_ms: float,
    seconds: float,
) -> tuple[LoadResult, LoadResult]:
    """The bystanders' and the trigger's results of one repeat."""
    usual, apart = generators

    def trigger() -> LoadResult:
        time.sleep(BEFORE_SECONDS)
        return apart.closed(triggers, requests=triggers.concurrency)

    with ThreadPoolExecutor(1) as thread:
        triggered = thread.submit(trigger)
        watched = usual.open(everybody, rate=1e3 / every_ms, seconds=seconds)
        return watched, triggered.result()


def _counted(
    generators: tuple[Generator, Generator], scene: Scene, every_ms: float, seconds: float
) -> Counts:
    """What happens in one more repeat, which is not timed: probes cost a little."""
    with counting(scene.everybody) as readings:
        scene.play(generators, every_ms, seconds)
    return Counts(1, tuple(readings))


def _repeat(everybody: LoadResult, triggers: LoadResult) -> Repeat:
    sent_ns = int(triggers.start_ns.min()) if triggers.completed else triggers.window_start_ns
    return Repeat(
        due_ms=np.asarray((everybody.intended_ns - sent_ns) / 1e6, dtype=np.float64),
        latency_ms=everybody.latency_ms,
        answered_ms=np.asarray(triggers.service_ms if triggers.completed else [np.nan]),
    )


def _milliseconds(wait: Interval) -> str:
    limits = f" [{_digits(wait.low)}, {_digits(wait.high)}]" if wait.confidence > 0 else ""
    return f"{_digits(wait.estimate)}{limits}"


def _digits(milliseconds: float) -> str:
    """Two digits; three from 100 ms on, where a wait is that of the work to a percent."""
    return significant(milliseconds, 3 if milliseconds >= _THREE_DIGITS_FROM_MS else 2)
