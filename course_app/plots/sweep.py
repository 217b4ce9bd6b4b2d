"""One line per series over a parameter: where it helps, where it stops, where it hurts."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import isfinite, isnan

import numpy as np
from matplotlib.axes import Axes

from course_app.measure.statistics import CONFIDENCE, Floats, Interval, significant
from course_app.measure.sweep import UNITS, Point, Sweep
from course_app.plots.figure import Figure, finish, nothing_known, titled
from course_app.plots.labels import EndLabel, label_ends, label_points
from course_app.plots.style import INK, MUTED, linear_ticks, log_ticks, look, styled
from course_app.words import amount

_LOG_FROM = 12.0
#: How far below the lowest point a logarithmic axis shows intervals.
_LOWEST = 5.0
_NAMES = {
    "throughput": "throughput, requests/s",
    "p50": "median latency, ms",
    "p99": "99th percentile of latency, ms",
    "cpu": "server CPU, µs / request",
}


def plot_sweep(
    result: Sweep,
    *,
    title: str | None = None,
    metric: str | None = None,
    x_log: bool | None = None,
    y_log: bool | None = None,
    marks: Mapping[float, str] | None = None,
    crossing: bool = False,
) -> Figure:
    """Each series' median window over the parameter, with the lowest and highest window.

    Args:
        title: the message; the sweep's own if not given.
        metric: ``throughput``, ``p50``, ``p99`` or ``cpu``; the sweep's own if not given.
        x_log: logarithmic axis; decided by the range if not given. The same for ``y_log``.
        marks: parameter values to mark with a vertical line and a text, such as a knee.
        crossing: mark where the first two series cross, between the limits of their windows.
    """
    metric = metric or result.metric
    message = title or _message(result, metric)
    unit = result.parameter.partition(", ")[2]
    label = _NAMES.get(metric, UNITS.get(metric, metric))
    same = len({len(p.windows[metric]) for points in result.series.values() for p in points}) == 1
    windows = amount(result.windows, "window") if same else "a point's windows"
    bars = f"bars: lowest and highest of {windows}"
    return plot_lines(
        {name: [_point(p, metric) for p in points] for name, points in result.series.items()},
        x_label=result.parameter,
        y_label=f"{label}\n({bars})" if result.windows > 1 or not same else label,
        title=message,
        x_log=x_log,
        y_log=y_log,
        marks=marks,
        crossing=f"equal at {{:significant}} {unit}".rstrip() if crossing else None,
        confidence=result.confidence,
    )


def _point(point: Point, metric: str) -> "LinePoint":
    return point.value, point.middle(metric), *point.span(metric)


def _message(result: Sweep, metric: str) -> str:
    """Which series is best at this metric, and where."""
    if result.wrong:
        return result.message
    better = max if metric == "throughput" else min
    points = [(name, point) for name, points in result.series.items() for point in points]
    known = [pair for pair in points if not isnan(pair[1].middle(metric))] or points
    name, best = better(known, key=lambda pair: pair[1].middle(metric))
    middle, low, high = (significant(x, 3) for x in (best.middle(metric), *best.span(metric)))
    told = f"{name}, {middle} [{low}, {high}] {UNITS[metric]} at {result.parameter} {best.value:g}"
    return f"{'Highest' if metric == 'throughput' else 'Lowest'} median: {told}"


#: x, y, lowest and highest y.
LinePoint = tuple[float, float, float, float]


def plot_lines(
    lines: Mapping[str, Sequence[LinePoint]],
    *,
    x_label: str,
    y_label: str,
    title: str,
    x_log: bool | None = None,
    y_log: bool | None = None,
    marks: Mapping[float, str] | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    laws: Collection[str] = (),
    crossing: str | None = None,
    confidence: float = CONFIDENCE,
) -> Figure:
    """Any lines with intervals, in the style of a sweep; NaN limits draw no interval.

    A point of which y is not known is left out.

    Args:
        names: by line, a word for each of its points.
        laws: lines that were computed, not measured: thin, and without markers.
        crossing: what to write where the first two lines cross, if they do; its braces stand
            for the interval of x, such as ``"equal at {:.0f} rows"``.
        confidence: with which the intervals hold what they are of.
    """
    words = {
        name: [
            word for word, point in zip(said, lines.get(name, ()), strict=False) if _known(point)
        ]
        for name, said in (names or {}).items()
    }
    lines = known_points(lines)
    if not any(lines.values()):
        return nothing_known(title, "not known: nothing was answered")
    with styled():
        canvas = titled(title)
        axes = canvas.add_subplot()
        draw_lines(axes, lines, x_log=x_log, y_log=y_log, laws=laws)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        for x, text in (marks or {}).items():
            _mark(axes, x, text)
        if crossing and (found := _crossing(axes, *list(lines.values())[:2])):
            axes.axvspan(found.low, found.high, color=MUTED, alpha=0.12, linewidth=0)
            sure = replace(found, confidence=confidence)
            _mark(axes, found.estimate, crossing.format(sure))
        _name_points(axes, lines, words)
        label_lines(axes, lines, laws)
        return finish(canvas, title)


def known_points(lines: Mapping[str, Sequence[LinePoint]]) -> dict[str, list[LinePoint]]:
    """The lines without what is not known: a machine can stand still for a whole window."""
    return {name: [point for point in points if _known(point)] for name, points in lines.items()}


def _known(point: LinePoint) -> bool:
    return isfinite(point[1])


def draw_lines(
    axes: Axes,
    lines: Mapping[str, Sequence[LinePoint]],
    *,
    x_log: bool | None = None,
    y_log: bool | None = None,
    laws: Collection[str] = (),
) -> None:
    """Scales and lines; the labels come last, when nothing moves any more."""
    lines = known_points(lines)
    if any(lines.values()):
        _scale(axes, lines, x_log, y_log)
    for index, (name, points) in enumerate(lines.items()):
        if not points:
            continue
        if name in laws:
            x, y, *_ = np.array(points, dtype=np.float64).T
            axes.plot(x, y, color=MUTED, linewidth=1)
        else:
            _line(axes, index, points)


def label_lines(
    axes: Axes, lines: Mapping[str, Sequence[LinePoint]], laws: Collection[str] = ()
) -> None:
    """Each line's name beside its end."""
    labels = []
    for index, (name, points) in enumerate(lines.items()):
        if points:
            x, y, *_ = points[-1]
            labels.append(EndLabel(name, x, y, MUTED if name in laws else look(index).text))
    label_ends(axes, labels)


def _crossing(
    axes: Axes, first: Sequence[LinePoint], second: Sequence[LinePoint]
) -> Interval | None:
    """Where two drawn lines first meet, if they do; the limits are where those of their points do.

    Interpolated as the lines are drawn: on a logarithmic axis between logarithms.
    """
    drawn = [
        np.log if scale == "log" else np.asarray for scale in (axes.get_xscale(), axes.get_yscale())
    ]
    by_x = [{point[0]: point for point in line} for line in (first, second)]
    both = [x for x in by_x[0] if x in by_x[1]]
    if len(both) < 2:
        return None
    points = np.array([[line[x] for x in both] for line in by_x], dtype=np.float64)
    x, y = drawn[0](points[0, :, 0]), drawn[1](points[:, :, 1])
    limits = drawn[1](np.where(np.isfinite(points[:, :, 2:]), points[:, :, 2:], points[:, :, 1:2]))
    gap = y[0] - y[1]
    least, most = limits[0, :, 0] - limits[1, :, 1], limits[0, :, 1] - limits[1, :, 0]
    changes = np.flatnonzero(gap[:-1] * gap[1:] < 0)
    if not changes.size:
        return None
    rises = gap[changes[0] + 1] > 0
    soonest, latest = (most, least) if rises else (least, most)
    places = np.array(
        [_zero(x, gap, x[0]), _zero(x, soonest, x[0]), _zero(x, latest, x[-1])], dtype=np.float64
    )
    return Interval(*(np.exp(places) if axes.get_xscale() == "log" else places).tolist())


def _zero(x: Floats, y: Floats, otherwise: float) -> float:
    """Where straight lines between the points (x, y) first pass zero; ``otherwise`` if nowhere."""
    for i in np.flatnonzero(y[:-1] * y[1:] < 0):
        return float(x[i] + y[i] / (y[i] - y[i + 1]) * (x[i + 1] - x[i]))
    return otherwise


def _line(axes: Axes, index: int, points: Sequence[LinePoint]) -> None:
    style = look(index)
    x, y, low, high = np.array(points, dtype=np.float64).T
    known = np.isfinite(low) & np.isfinite(high)
    axes.plot(x, y, color=style.color, marker=style.marker, linestyle=style.line)
    axes.errorbar(
        x[known],
        y[known],
        yerr=np.maximum(0.0, [(y - low)[known], (high - y)[known]]),
        fmt="none",
        ecolor=style.color,
        elinewidth=1.1,
        capsize=2.5,
    )


def _name_points(
    axes: Axes, lines: Mapping[str, Sequence[LinePoint]], words: Mapping[str, Sequence[str]]
) -> None:
    labels = [
        EndLabel(word, x, y, look(index).text)
        for index, (line, points) in enumerate(lines.items())
        for word, (x, y, _, _) in zip(words.get(line, ()), points, strict=False)
    ]
    label_points(axes, labels, [[point[:2] for point in points] for points in lines.values()])


def _scale(
    axes: Axes,
    lines: Mapping[str, Sequence[LinePoint]],
    x_log: bool | None,
    y_log: bool | None,
) -> None:
    points = np.array([p for line in lines.values() for p in line], dtype=np.float64)
    x, y = points[:, 0], points[:, 1]
    tops = np.where(np.isfinite(points[:, 3]), points[:, 3], y)
    steps = sorted(set(x.tolist()))
    if len(steps) > 1 and (_logarithmic(x) if x_log is None else x_log):
        axes.set_xscale("log")
        low, high = steps[0], steps[-1]
        margin = (high / low) ** 0.03
        axes.set_xlim(low / margin, high * margin)
        _step_ticks(axes, steps)
    else:
        # A dot at zero has an interval, which must not lie on the axis.
        left = -0.02 * steps[-1] if steps[0] == 0 else min(0.0, steps[0])
        axes.set_xlim(left if steps[0] < 0.5 * steps[-1] else None, 1.02 * steps[-1])
        linear_ticks(axes.xaxis)
    if _logarithmic(y) if y_log is None else y_log:
        axes.set_yscale("log")
        # The limits below, too, unless they are so low that they would press all others together.
        lows = points[:, 2][np.isfinite(points[:, 2]) & (points[:, 2] > 0)]
        bottom = max(lows.min(initial=y.min()), y.min() / _LOWEST)
        axes.set_ylim(bottom / 1.4, tops.max() * 1.4)
        log_ticks(axes.yaxis, y.min(), y.max())
    else:
        axes.set_ylim(0, float(tops.max()) * 1.12)
        linear_ticks(axes.yaxis)


def _logarithmic(values: np.ndarray) -> bool:
    low, high = float(np.min(values)), float(np.max(values))
    return low > 0 and high / low > _LOG_FROM


def _step_ticks(axes: Axes, steps: Sequence[float]) -> None:
    """The measured values as ticks where they have room, else round numbers."""
    log_ticks(axes.xaxis, steps[0], steps[-1])
    decades = np.log10(steps[-1] / steps[0])
    gaps = np.diff(np.log10(steps)) / decades
    if len(steps) <= 9 and gaps.min() > 0.07:
        axes.set_xticks(steps)


#: Half of the axes' width holds so many characters.
_WIDEST_MARK = 34


def _mark(axes: Axes, x: float, text: str) -> None:
    axes.axvline(x, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
    left, _ = axes.transAxes.inverted().transform(axes.transData.transform((x, 1.0)))
    axes.annotate(
        textwrap.fill(text, _WIDEST_MARK),
        xy=(x, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4 if left < 0.5 else -4, -2),
        textcoords="offset points",
        ha="left" if left < 0.5 else "right",
        va="top",
        color=INK,
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
    )
