"""The speed criterion: baseline, learner and reference in turns, until there is a verdict.

Windows are short and go round: baseline, learner, reference, then back. The learner's is
always in the middle, so that a machine that gets slower or faster in the course of a
round changes both halves of the contrast alike; in every other round the order is reversed.
"""

from contextlib import ExitStack
from typing import Any

import numpy as np

from course_app.grading.candidate import Candidate
from course_app.grading.evidence import CannotTell, CouldNotCheck, Evidence, Number
from course_app.grading.exam import Exam
from course_app.grading.failures import TooLittleGain
from course_app.grading.share import BAR, GainShare
from course_app.load import LoadResult, Target, Workload
from course_app.measure.answers import Same
from course_app.measure.collector import small_collections
from course_app.measure.noise import NoiseMeter
from course_app.measure.pace import paced
from course_app.measure.statistics import Interval, significant

# Shorter windows and more rounds than in comparisons (measure.compare). How a contrast spreads from
# round to round hardly depends on a window's length: its sd was 0.01 to 0.10 for 0.25 s and 0.01 to
# 0.13 for 0.15 s in six exercises, calm and beside two busy loops, where the bar is 0.37 or more
# away.
WINDOW_SECONDS = 0.15
WINDOW_WARMUP_SECONDS = 0.03
# Who is as far from the bar as answers are (0.37 in the logarithm) is misjudged in 1 of 10,000
# races where a contrast's sd is 0.3, and never where it is 0.13: 20,000 races simulated each, and
# no more than when the first look comes after six rounds.
FEWEST_ROUNDS = 4
MOST_ROUNDS = 24
# How many times its median answer a slow side's window lasts. CPU needs more: what is under way at
# either end counts for some of it.
_ANSWERS_PER_WINDOW = {"p50": 2, "cpu": 6}
_SHORTEST_WINDOW_SECONDS = 0.1
_LONGEST_WINDOW_SECONDS = 1.0
# A machine that stands still for a whole window says nothing about the app: look again.
_LOOKS = 3

# Of each window's answers so many are compared with the reference's.
_COMPARED = 3
_ROLES = ("baseline", "learner", "reference")


class Race:
    """One measurement of the learner's share of the reference's gain."""

    def __init__(
        self, exam: Exam, workload: Workload, concurrency: int, metric: str, same: Same
    ) -> None:
        if metric not in _ANSWERS_PER_WINDOW:
            raise ValueError(f'metric is "p50" or "cpu", not {metric!r}')
        self._exam = exam
        self._workload = workload
        self._concurrency = concurrency
        self._metric = metric
        self._same = same
        self._meter = NoiseMeter()
        self._values: dict[str, list[float]] = {role: [] for role in _ROLES}
        self._seconds: dict[str, float] = {}
        self._outlasting: set[str] = set()

    @small_collections()
    def run(self, bar: float | None = None) -> Evidence:
        """Measure until the share is clearly above or below the bar.

        Raises:
            TooLittleGain, CannotTell: see :meth:`Exam.speed`.
            DifferentAnswer, WrongUnderLoad: fast, but wrong.
        """
        bar = BAR if bar is None else bar
        seed = self._exam.new_seed()
        with ExitStack() as stack:
            targets = {
                role: stack.enter_context(
                    self._exam.target(candidate, self._workload, self._concurrency, seed)
                )
                for role, candidate in self._candidates().items()
            }
            self._warm_up(targets)
            self._meter.resume()
            for number in range(MOST_ROUNDS):
                if number >= FEWEST_ROUNDS and self._share().verdict(bar) is not None:
                    break
                self._exam.progress(
                    f"speed, round {number + 1} of {FEWEST_ROUNDS} to {MOST_ROUNDS}"
                )
                self._round(targets, number)
            self._meter.pause()
        return self._decide(bar)

    def _candidates(self) -> dict[str, Candidate]:
        return {role: self._exam.candidate(role) for role in _ROLES}

    def _warm_up(self, targets: dict[str, Target]) -> None:
        """Let pools open and caches fill; a first idea of how long each side's windows are."""
        for role, target in targets.items():
            result = self._exam.generator.closed(target, requests=3 * self._concurrency)
            self._exam.refuse_errors(self._exam.candidate(role), result)
            self._seconds[role] = self._length_seconds(result)

    def _length_seconds(self, result: LoadResult) -> float:
        """How long a side's windows are: a slow one's hold some requests, a fast one's need not."""
        answers_seconds = _ANSWERS_PER_WINDOW[self._metric] * result.percentile(50) / 1e3
        wanted = min(max(WINDOW_SECONDS, answers_seconds), _LONGEST_WINDOW_SECONDS)
        return max(paced(wanted), _SHORTEST_WINDOW_SECONDS)

    def _round(self, targets: dict[str, Target], number: int) -> None:
        for role in _ROLES if number % 2 == 0 else reversed(_ROLES):
            self._values[role].append(self._window(role, targets))

    def _window(self, role: str, targets: dict[str, Target]) -> float:
        for _ in range(0 if role in self._outlasting else _LOOKS):
            if (value := self._look(role, targets, self._seconds[role])) is not None:
                return value
        # Its requests outlast a window: wait for some, however long that takes.
        self._outlasting.add(role)
        if (value := self._look(role, targets, None)) is not None:
            return value
        raise CouldNotCheck(f"The {role} answered nothing, or used no CPU for it.")

    def _look(self, role: str, targets: dict[str, Target], seconds: float | None) -> float | None:
        """What the metric is in one window; None if no request fell into it.

        Some of the learner's answers in it are compared, and an app cannot know which.
        """
        window: dict[str, Any] = {"seconds": seconds, "warmup_seconds": WINDOW_WARMUP_SECONDS}
        if seconds is None:
            # Two for each client: the first ones come all at once, and whoever serves them one
            # after another is as late for half of them as for all that follow.
            window = {"requests": 2 * self._concurrency}
        candidate = self._exam.candidate(role)
        keep = _COMPARED if role == "learner" and self._same is not False else 0
        before = self._cpu_seconds(candidate)
        with self._exam.blaming(candidate), self._exam.alone(candidate):
            result = self._exam.generator.closed(targets[role], keep=keep, **window)
        cpu_seconds = self._cpu_seconds(candidate) - before
        self._exam.refuse_errors(candidate, result)
        if keep:
            self._exam.compare_kept(result, targets["reference"], self._same)
        if not result.completed:
            return None
        self._seconds[role] = self._length_seconds(result)  # caches may be warm now
        if self._metric == "p50":
            return result.percentile(50)
        # No request is free: a clock that did not move in a window was read too coarsely.
        return cpu_seconds / result.completed * 1e6 if cpu_seconds > 0 else None

    def _cpu_seconds(self, candidate: Candidate) -> float:
        return candidate.cpu_seconds() if self._metric == "cpu" else 0.0

    def _share(self) -> GainShare:
        baseline, learner, reference = (np.array(self._values[role]) for role in _ROLES)
        return GainShare(baseline, learner, reference)

    def _in_words(self, speedup: Interval, reference: Interval) -> str:
        mine, ours = speedup.estimate, reference.estimate
        if self._metric == "cpu":
            return f"{1 / mine:.0%} of the baseline's CPU, the reference {1 / ours:.0%}"
        times = f"{significant(mine)} times as fast as the baseline"
        return f"{times}, the reference {significant(ours)} times"

    def _decide(self, bar: float) -> Evidence:
        share = self._share()
        interval, speedup, reference = share.interval(), share.speedup, share.reference_speedup
        observed = (
            f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}] of the reference's "
            f"gain: {self._in_words(speedup, reference)}"
        )
        wanted = f"{bar:g} or more"
        numbers: dict[str, Number] = {
            **{f"share_{key}": value for key, value in interval.to_dict().items()},
            **{f"speedup_{key}": value for key, value in speedup.to_dict().items()},
            **{f"reference_speedup_{key}": value for key, value in reference.to_dict().items()},
            "metric": self._metric,
            "rounds": len(self._values["learner"]),
        }
        verdict = share.verdict(bar)
        if verdict is None:
            reason = f"cannot tell: {observed}. {self._meter.report()}"
            raise CannotTell(reason, wanted, numbers=numbers)
        if not verdict:
            raise TooLittleGain(observed, wanted, numbers=numbers)
        return Evidence(observed, wanted, numbers)
