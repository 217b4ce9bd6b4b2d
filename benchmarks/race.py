"""How often does an exercise's measurement of speed err? (simulated; half a minute)

A race is looked at after each round from the fourth, and ends as soon as the interval lies on one
side of the bar: so it looks up to 21 times, which makes it err more often than an interval that is
looked at once. Here the truth is known.
"""

import numpy as np

from benchmarks import BenchResult
from course_app.grading.race import FEWEST_ROUNDS, MOST_ROUNDS
from course_app.grading.share import BAR, GainShare
from course_app.measure.statistics import Floats

RACES = 1000
#: The learner's true share of the reference's gain.
SHARES = (0.0, 0.25, 0.4, 0.45, 0.55, 0.6, 0.75, 1.0)
#: The least that an exercise's reference gains.
REFERENCE_SPEEDUP = 3.0
#: Spread of a window (sd of its logarithm), and of how many windows something else took a part:
#: the largest that six exercises showed calm and beside two busy loops, and one far beyond.
SEEN = {"calm": (0.03, 0.0), "two busy loops": (0.13, 0.05)}
NOISES = {**SEEN, "far noisier": (0.5, 0.1)}
#: What a window costs of which something else took a part: caches that were emptied, a core that
#: was shared. And how far the machine drifts from one window to the next (sd of the logarithm):
#: 5 % are a third in one race.
_TAKEN = 3.0
_DRIFT = 0.05
#: Right answers win about the whole gain, known slow ones a quarter or less of it.
_FAR = 0.25


def run() -> BenchResult:
    """Simulate ``RACES`` races for each share and noise, drawn alike each time."""
    random = np.random.default_rng(1)
    rows, figures = [], {}
    wrong_far, wrong_anywhere, right_far = 0.0, 0.0, 1.0
    for noise, (spread, taken) in NOISES.items():
        for share in SHARES:
            said = [_race(random, share, spread, taken) for _ in range(RACES)]
            right, wrong = (
                sum(verdict is expected for verdict, _ in said) / RACES
                for expected in (share > BAR, share < BAR)
            )
            rounds = float(np.median([rounds for _, rounds in said]))
            open_ = 1 - right - wrong
            cells = (f"{right:.1%}", f"{open_:.1%}", f"{wrong:.2%}", f"{rounds:.0f}")
            rows.append((f"{noise}, {share:g} of the gain", *cells))
            figures[f"{noise}, {share:g}"] = {"right": right, "wrong": wrong, "rounds": rounds}
            wrong_anywhere = max(wrong_anywhere, wrong)
            if noise in SEEN and abs(share - BAR) >= _FAR:
                wrong_far, right_far = max(wrong_far, wrong), min(right_far, right)
    return BenchResult(
        title=f"Verdicts of {RACES} simulated races; {BAR:g} of the gain is asked for",
        columns=("truth", "right", "cannot tell", "wrong", "rounds"),
        rows=rows,
        requirements={
            f"with noise that was seen, {_FAR:g} or more from the bar, none is wrong": (
                wrong_far == 0
            ),
            # Who never decides never errs.
            "of these, some are decided rightly, whatever the share": right_far > 0,
            "anywhere, wrong in 2 of 100 at most": wrong_anywhere <= 0.02,
        },
        figures=figures,
    )


def _race(
    random: np.random.Generator, share: float, spread: float, taken: float
) -> tuple[bool | None, int]:
    """The verdict, and after how many rounds it came."""
    gain = np.log(REFERENCE_SPEEDUP)
    logs = np.array([[0.0], [-share * gain], [-gain]]) + _noise(random, spread, taken)
    baseline, learner, reference = np.exp(logs)
    for rounds in range(FEWEST_ROUNDS, MOST_ROUNDS + 1):
        seen = GainShare(baseline[:rounds], learner[:rounds], reference[:rounds])
        if (verdict := seen.verdict()) is not None:
            return verdict, rounds
    return None, MOST_ROUNDS


def _noise(random: np.random.Generator, spread: float, taken: float) -> Floats:
    """Of the logarithms of all windows, shape (3, rounds): drift, jitter, and what others took."""
    drift = np.cumsum(random.normal(0, _DRIFT, 3 * MOST_ROUNDS)).reshape(MOST_ROUNDS, 3)
    drift[1::2] = drift[1::2, ::-1]  # every other round goes the other way, as a race does
    jitter = random.normal(0, spread, (3, MOST_ROUNDS))
    lost = np.log(_TAKEN) * (random.random((3, MOST_ROUNDS)) < taken)
    return np.asarray(drift.T + jitter + lost)
