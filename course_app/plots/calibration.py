"""Predicted against measured: how well a learner knows what things cost."""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from course_app.measure.prediction import CLOSE_FACTOR
from course_app.plots.figure import Figure, finish, nothing_known, titled
from course_app.plots.style import COLORS, MUTED, log_ticks, styled
from course_app.predictions import Kept, calibration

#: So many times as much or as little as was measured a limit is drawn at most.
_FURTHEST = 1e3


def plot_calibration(kept: Sequence[Kept]) -> Figure:
    """A dot for each prediction; on the thin line it would be right, in the band it is close.

    Those that were neither are named by their lesson. Both axes are logarithmic, so a number that
    is zero or endless has no place; the title says how many. An endless interval ends far outside.
    """
    shown = [each for each in kept if each.factor and isfinite(each.factor)]
    title = calibration(list(kept))
    if not shown:
        return nothing_known(title, "A prediction shows here once it has been measured.")
    title += _left_out(kept, len(shown))
    predicted = np.array([each.predicted for each in shown])
    measured = np.array([each.measured for each in shown])
    low = np.array([max(each.measured / _FURTHEST, each.low) for each in shown])
    high = np.array([min(each.measured * _FURTHEST, each.high) for each in shown])
    first, last = min(predicted.min(), low.min()) / 2, max(predicted.max(), high.max()) * 2
    with styled():
        canvas = titled(title)
        axes = canvas.add_subplot()
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends = np.array([first, last])
        axes.fill_between(ends, ends / CLOSE_FACTOR, ends * CLOSE_FACTOR, color=MUTED, alpha=0.12)
        axes.plot(ends, ends, color=MUTED, linewidth=1)
        limits = [np.maximum(0, measured - low), np.maximum(0, high - measured)]
        axes.errorbar(predicted, measured, yerr=limits, fmt="o", color=COLORS[0], capsize=2.5)
        for each in (each for each in shown if not each.good):
            axes.annotate(
                each.lesson,
                xy=(each.predicted, each.measured),
                xytext=(6, -3),
                textcoords="offset points",
                color=MUTED,
                fontsize=8.5,
            )
        for axis, set_limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
            set_limits(first, last)
            log_ticks(axis, first, last)
        axes.set_xlabel("predicted")
        axes.set_ylabel("measured, with its interval")
        return finish(canvas, title)


def _left_out(kept: Sequence[Kept], shown: int) -> str:
    zeros = sum(each.factor is None for each in kept)
    endless = len(kept) - shown - zeros
    counts = {"with a zero": zeros, "without an end": endless}
    told = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
    return f" Not drawn: {told}." if told else ""
