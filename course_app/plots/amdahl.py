"""Amdahl's law: what can be gained by one part, against its share of the time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from course_app.measure.statistics import Interval, significant
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import INK, MUTED, linear_ticks, log_ticks, look, styled

#: The curve ends where it would leave the figure.
_LARGEST_SHARE = 0.985


@dataclass(frozen=True)
class Gain:
    """What changing one part gained; ``share`` is its part of the time before, in per cent."""

    name: str
    share: Interval
    gain: Interval


def bound(share: float) -> float:
    """The most that a part with this share (%) of the time can give: Amdahl (1967), 1 / (1 - p)."""
    return 1.0 / max(1.0 - share / 100, 1e-9)


def plot_amdahl(
    groups: Mapping[str, Sequence[Gain]],
    *,
    title: str,
    unit: str = "times as fast as before",
    predicted: float | None = None,
) -> Figure:
    """Gains with their intervals, and the curve that bounds them.

    Args:
        groups: by what was done, the gains; each group has a look of its own.
        predicted: the gain that was expected of a small share.
    """
    with styled():
        canvas = titled(title)
        axes = canvas.add_subplot()
        shares = np.linspace(0.0, _LARGEST_SHARE, 200)
        axes.plot(100 * shares, 1 / (1 - shares), color=MUTED, linewidth=1.6)
        for index, (name, gains) in enumerate(groups.items()):
            _points(axes, index, name, gains)
        if predicted is not None:
            _prediction(axes, predicted)
        _finish_axes(axes, [gain for gains in groups.values() for gain in gains], unit)
        return finish(canvas, title)


def _points(axes: Axes, index: int, name: str, gains: Sequence[Gain]) -> None:
    style = look(index)
    for number, gain in enumerate(gains):
        x, y, interval = gain.share.estimate, gain.gain.estimate, gain.gain
        axes.plot([x, x], [interval.low, interval.high], color=style.color, linewidth=1.4)
        axes.plot([gain.share.low, gain.share.high], [y, y], color=style.color, linewidth=1.4)
        axes.plot(
            [x],
            [y],
            color=style.color,
            marker=style.marker,
            markersize=7,
            linestyle="none",
        )
        left = x > 50
        axes.annotate(
            f"{gain.name}, {name}: {interval.factor}",
            xy=(x, y),
            # Small shares lie close together: their names stand on a slope. The names of a large
            # one's gains stand above its first and below its second.
            xytext=(-10, -13 if index else 13) if left else (16, 44 + 16 * number),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            color=style.text,
            fontweight="bold",
            fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            arrowprops=None
            if left
            else {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkB": 4},
        )


def _prediction(axes: Axes, gain: float) -> None:
    axes.plot([0, 100], [gain, gain], color=INK, linestyle=":", linewidth=1.2)
    axes.annotate(
        f"◇ predicted {significant(gain)}x",
        xy=(99, gain),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=INK,
    )


def _finish_axes(axes: Axes, gains: Sequence[Gain], unit: str) -> None:
    top = 1.6 * max(
        [*(gain.gain.high for gain in gains), *(bound(gain.share.estimate) for gain in gains), 4.0]
    )
    low = min([*(gain.gain.low for gain in gains), 1.0])
    axes.set_yscale("log")
    axes.set_ylim(0.8 * low, top)
    log_ticks(axes.yaxis, low, top)
    axes.set_xlim(0, 100)
    linear_ticks(axes.xaxis)
    axes.set_xlabel("share of the request's time before, %")
    axes.set_ylabel(unit)
    axes.annotate(
        "Amdahl's bound: 1 / (1 - share)",
        xy=(66, bound(66)),
        xytext=(8, -12),
        textcoords="offset points",
        ha="left",
        fontsize=8.5,
        color=INK,
    )
