"""Time to the last byte over the speed of the link, and which way of answering is first where."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from course_app.measure.transfer import Delivery, break_even
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.labels import EndLabel, label_ends
from course_app.plots.style import INK, MUTED, log_ticks, look, styled
from course_app.plots.sweep import LinePoint

#: From a phone at the edge of its cell to a data centre.
SLOWEST, FASTEST = 1.0, 10_000.0
_STEPS = 401
#: The strip along the bottom that says which is first, as a share of the axes' height.
_STRIP = 0.045
#: Stretches shorter than these shares of the axis have no room for a name, or for their limits.
_ROOM_FOR_NAME, _ROOM_FOR_LIMITS = 0.1, 0.04
#: A name centred in a shorter first stretch would reach over the axis.
_ROOM_TO_CENTRE = 0.2


def plot_transfer(
    ways: Mapping[str, Delivery],
    *,
    title: str,
    measured: Mapping[str, Sequence[LinePoint]] | None = None,
) -> Figure:
    """A line for each way to answer; a strip along the bottom shows which is first.

    Rings show where the others cross the first way.

    Args:
        measured: by way, times that were measured over links: Mbit/s, ms, lowest and highest.
    """
    links = np.geomspace(SLOWEST, FASTEST, _STEPS)
    times = {name: way.ms(links) for name, way in ways.items()}
    with styled():
        canvas = titled(title)
        axes = canvas.add_subplot()
        axes.set_xscale("log")
        axes.set_yscale("log")
        for index, (name, ms) in enumerate(times.items()):
            axes.plot(links, ms, color=look(index).color, linestyle=look(index).line)
            _dots(axes, index, (measured or {}).get(name, ()))
        _rings(axes, list(ways.values()))
        _scales(axes, times)
        axes.set_xlabel("speed of the client's link, Mbit/s")
        axes.set_ylabel("time to the last byte, ms")
        _strip(axes, links, times, ways)
        ends = [(name, float(ms[-1])) for name, ms in times.items()]
        label_ends(axes, [EndLabel(n, FASTEST, ms, look(i).text) for i, (n, ms) in enumerate(ends)])
        return finish(canvas, title)


def _rings(axes: Axes, ways: Sequence[Delivery]) -> None:
    for way in ways[1:]:
        speed = break_even(way, ways[0]).estimate
        if SLOWEST < speed < FASTEST:
            axes.plot(
                speed,
                way.ms(speed),
                marker="o",
                markersize=8,
                markerfacecolor="none",
                markeredgecolor=INK,
                markeredgewidth=1.2,
            )


def _dots(axes: Axes, index: int, points: Sequence[LinePoint]) -> None:
    for x, y, low, high in points:
        axes.errorbar(
            x,
            y,
            yerr=[[max(0.0, y - low)], [max(0.0, high - y)]],
            color=look(index).color,
            marker=look(index).marker,
            markersize=6,
            markeredgecolor=INK,
            markeredgewidth=0.8,
            capsize=2.5,
            elinewidth=1.1,
        )


def _scales(axes: Axes, times: Mapping[str, np.ndarray]) -> None:
    all_ms = np.concatenate(list(times.values()))
    low, high = float(all_ms.min()), float(all_ms.max())
    axes.set_xlim(SLOWEST, FASTEST)
    # Room for the strip below the lowest line.
    axes.set_ylim(low * (low / high) ** 0.15, high * 1.3)
    log_ticks(axes.xaxis, SLOWEST, FASTEST)
    log_ticks(axes.yaxis, low, high)


def _strip(
    axes: Axes,
    links: np.ndarray,
    times: Mapping[str, np.ndarray],
    ways: Mapping[str, Delivery],
) -> None:
    names = list(ways)
    first = np.argmin(list(times.values()), axis=0)
    changes = [0, *(np.flatnonzero(np.diff(first)) + 1).tolist(), links.size - 1]
    previous = 0
    for start, end in pairwise(changes):
        index = int(first[start])
        axes.axvspan(links[start], links[end], 0, _STRIP, color=look(index).color, linewidth=0)
        if (end - start) / links.size > _ROOM_FOR_NAME:
            middle = float(np.sqrt(links[start] * links[end]))
            narrow = start == 0 and (end - start) / links.size < _ROOM_TO_CENTRE
            place = (float(links[0]), "left") if narrow else (middle, "center")
            _say(axes, *place, _STRIP, f"{names[index]} is first", look(index).text, "bottom")
        if start and min(start - previous, end - start) / links.size > _ROOM_FOR_LIMITS:
            before, after = (ways[names[int(first[at])]] for at in (start - 1, start))
            speed = break_even(before, after)
            # Between its limits nobody can tell which is first.
            low, high = (min(max(limit, SLOWEST), FASTEST) for limit in (speed.low, speed.high))
            axes.axvspan(low, high, 0, _STRIP, color=MUTED, linewidth=0, zorder=2)
            axes.axvline(links[start], color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
            along = start / links.size  # near an end a centred text would reach over the axis
            align = "left" if along < _ROOM_TO_CENTRE else "center"
            align = "right" if along > 1 - _ROOM_TO_CENTRE else align
            _say(axes, links[start], align, 1.0, f"{speed:significant} Mbit/s", INK, "top")
        previous = start


def _say(axes: Axes, x: float, align: str, y: float, text: str, color: str, side: str) -> None:
    axes.annotate(
        text,
        xy=(x, y),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2 if side == "bottom" else -2),
        textcoords="offset points",
        ha=align,
        va=side,
        color=color,
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
    )
