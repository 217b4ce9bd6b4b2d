"""What happened when: each request's latency, the event loop's lag, or any count over time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from course_app.load import LoadResult
from course_app.measure.lag import LoopLag
from course_app.measure.measurement import Measurement
from course_app.measure.statistics import Floats
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.labels import EndLabel, label_ends
from course_app.plots.style import (
    ERROR,
    linear_ticks,
    listed,
    log_ticks,
    look,
    only_grid,
    styled,
)

#: More points than this make a picture heavier, not clearer. The slowest are always kept.
_MOST_POINTS = 4000
_LOG_FROM = 30.0
#: Timers are only good to a millisecond or two: less is not lag.
_LAG_FLOOR_SECONDS = 0.001
#: Loops that hardly lag must not look like mountains.
_LEAST_LAG_SHOWN_MS = 1e3 * _LAG_FLOOR_SECONDS

_UNDER_WAY = "#e4e4e4"

#: When (seconds) and how much; both of shape (points,).
Series = tuple[Any, Any]


def plot_requests(
    series: Mapping[str, Measurement | LoadResult], *, title: str | None = None
) -> Figure:
    """Each request as a dot: when it was due, and how long it took. A stall is a slope.

    An error is a red cross, at the time after which it was known.

    Args:
        series: up to four measurements by name; each gets a row of its own.
        title: the message; the slowest request of each if not given.
    """
    loads = {n: v.load if isinstance(v, Measurement) else v for n, v in series.items()}
    slowest = {n: float(load.latency_ms.max()) for n, load in loads.items() if load.completed}
    told = f"The slowest request, in one run each: {listed(slowest, 'ms')}"
    message = title or (told if slowest else "No request was answered rightly")
    with styled():
        canvas = titled(message)
        rows = canvas.subplots(len(loads), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for index, (axes, (name, load)) in enumerate(zip(rows, loads.items(), strict=True)):
            _dots(axes, index, name, load)
        answered = np.concatenate([load.latency_ms for load in loads.values()])
        failed = np.concatenate([load.failed_ms for load in loads.values()])
        _latency_axis(rows[0], answered, failed, few=len(loads) > 1)
        rows[-1].set_xlabel("seconds since the first request was due, or sent")
        canvas.supylabel("latency, ms", fontsize=9.5)
        return finish(canvas, message, scatter=True)


def plot_lag(
    series: Mapping[str, Series],
    *,
    title: str | None = None,
    under_way: Mapping[str, Series] | None = None,
) -> Figure:
    """For how long nothing ran on an event loop, over time; one row a loop.

    Args:
        series: by name, when samples were due (seconds) and by how much they were late
            (seconds), as a loop probe has them.
        title: the message; the greatest lag of each if not given.
        under_way: by name, when requests began and ended (seconds): shaded.
    """
    greatest = {name: 1e3 * float(np.max(late)) for name, (_, late) in series.items()}
    message = title or f"The loop did not react for up to: {listed(greatest, 'ms')}"
    with styled():
        canvas = titled(message)
        rows = canvas.subplots(len(series), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for index, (axes, (name, values)) in enumerate(zip(rows, series.items(), strict=True)):
            _lag(axes, index, name, values)
            for start, end in zip(*(under_way or {}).get(name, ((), ())), strict=True):
                axes.axvspan(start, end, color=_UNDER_WAY, linewidth=0, zorder=0)
        rows[0].set_ylim(0, 1.1 * max(_LEAST_LAG_SHOWN_MS, *greatest.values()))
        rows[-1].set_xlabel("seconds" + ("; grey: a request is under way" if under_way else ""))
        canvas.supylabel("event-loop lag, ms", fontsize=9.5)
        return finish(canvas, message)


def plot_loop_lag(result: LoopLag, *, title: str | None = None) -> Figure:
    """The lag of each app's loop over time, and when its requests were under way.

    Args:
        title: the message; the result's own if not given.
    """
    return plot_lag(
        {name: (series.due, series.late) for name, series in result.series.items()},
        title=title or result.message,
        under_way={name: (series.start, series.end) for name, series in result.series.items()},
    )


def plot_over_time(
    series: Mapping[str, Series],
    *,
    y_label: str,
    title: str,
    x_label: str = "seconds",
    steps: bool = False,
    rows: bool = False,
) -> Figure:
    """Lines over time, such as database queries per second before and after an expiry.

    Args:
        steps: values hold until the next point, as counts per interval do.
        rows: a row for each series, where lines would lie on each other.
    """
    if steps:
        series = {name: _held(points) for name, points in series.items()}
    if rows:
        return _rows_over_time(series, y_label, title, x_label, steps)
    with styled():
        canvas = titled(title)
        axes = canvas.add_subplot()
        labels = []
        for index, (name, (seconds, values)) in enumerate(series.items()):
            style = look(index)
            drawing = "steps-post" if steps else "default"
            axes.plot(seconds, values, color=style.color, linestyle=style.line, drawstyle=drawing)
            labels.append(EndLabel(name, float(seconds[-1]), float(values[-1]), style.text))
        top = max(float(np.max(values)) for _, values in series.values())
        axes.set_ylim(0, 1.08 * top)
        axes.margins(x=0)
        linear_ticks(axes.xaxis)
        linear_ticks(axes.yaxis)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        label_ends(axes, labels)
        return finish(canvas, title)


def _held(points: Series) -> Series:
    """With the end of the last step, which is as long as the one before."""
    seconds, values = points
    if len(seconds) < 2:
        return points
    return np.append(seconds, 2 * seconds[-1] - seconds[-2]), np.append(values, values[-1])


def _rows_over_time(
    series: Mapping[str, Series], y_label: str, title: str, x_label: str, steps: bool
) -> Figure:
    with styled():
        canvas = titled(title)
        grid = canvas.subplots(len(series), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for index, (axes, (name, (seconds, values))) in enumerate(
            zip(grid, series.items(), strict=True)
        ):
            style = look(index)
            drawing = "steps-post" if steps else "default"
            axes.plot(seconds, values, color=style.color, drawstyle=drawing, linewidth=1.4)
            filling = "post" if steps else None
            axes.fill_between(seconds, values, step=filling, color=style.color, alpha=0.35)
            axes.set_title(name, color=style.text, fontweight="bold")
            only_grid(axes, "y")
        top = max(float(np.max(values)) for _, values in series.values())
        grid[0].set_ylim(0, 1.08 * top)
        grid[0].margins(x=0)
        linear_ticks(grid[0].xaxis)
        linear_ticks(grid[0].yaxis, 4)
        grid[-1].set_xlabel(x_label)
        canvas.supylabel(y_label, fontsize=9.5)
        return finish(canvas, title)


def _dots(axes: Axes, index: int, name: str, load: LoadResult) -> None:
    style = look(index)
    due_ns = np.concatenate([load.intended_ns, load.failed_due_ns])
    if not due_ns.size:
        axes.set_title(f"{name}: no answer", color=style.text, fontweight="bold")
        return
    first_ns = due_ns.min()
    seconds = (load.intended_ns - first_ns) / 1e9
    shown = _thinned(load.latency_ms)
    axes.plot(
        seconds[shown],
        load.latency_ms[shown],
        linestyle="none",
        marker=style.marker,
        markersize=2.5,
        markeredgewidth=0,
        color=style.color,
        alpha=0.6,
    )
    errors = load.failed_due_ns.size
    if errors:
        axes.plot(
            (load.failed_due_ns - first_ns) / 1e9,
            load.failed_ms,
            linestyle="none",
            marker="x",
            markersize=3.5,
            color=ERROR,
        )
    told = f": {errors} error{'s' * (errors > 1)}, red" if errors else ""
    axes.set_title(f"{name}{told}", color=style.text, fontweight="bold")
    linear_ticks(axes.xaxis)
    only_grid(axes, "y")


def _thinned(ms: Floats) -> np.ndarray:
    """Places of at most ``_MOST_POINTS`` values: the slowest half of them, and every n-th."""
    if ms.size <= _MOST_POINTS:
        return np.arange(ms.size)
    half = _MOST_POINTS // 2
    slowest = np.argsort(ms)[-half:]
    evenly = np.linspace(0, ms.size - 1, half).astype(np.intp)
    return np.union1d(slowest, evenly)


def _latency_axis(axes: Axes, answered: Floats, failed: Floats, *, few: bool) -> None:
    """A log axis may leave out the fastest answers, but no error: the title counts them."""
    ms = np.concatenate([answered, failed])
    if not ms.size:
        axes.set(xticks=[], yticks=[])
        return
    low, high = float(np.percentile(ms, 1)), float(ms.max())
    if high / max(low, 1e-6) > _LOG_FROM:
        low = min([low, *failed[failed > 0]])
        axes.set_yscale("log")
        axes.set_ylim(low / 1.5, high * 1.5)
        log_ticks(axes.yaxis, low, high, few=few)
        return
    axes.set_ylim(0, 1.1 * high)
    linear_ticks(axes.yaxis, 4)


def _lag(axes: Axes, index: int, name: str, values: Series) -> None:
    """Each late sample as a triangle: what is due later within a block waits less long."""
    style = look(index)
    due, late = (np.asarray(part, dtype=np.float64) for part in values)
    end = float((due - due.min()).max())
    due, late = (due - due.min())[late > _LAG_FLOOR_SECONDS], late[late > _LAG_FLOOR_SECONDS]
    x = np.column_stack([due, due, due + late]).ravel()
    y = 1e3 * np.column_stack([np.zeros_like(late), late, np.zeros_like(late)]).ravel()
    axes.fill(x, y, color=style.color, alpha=0.35, linewidth=0)
    axes.plot([0, *x, end], [0, *y, 0], color=style.color, linewidth=1.0)
    axes.set_title(name, color=style.text, fontweight="bold")
    axes.margins(x=0)
    linear_ticks(axes.xaxis)
    linear_ticks(axes.yaxis, 4)
    only_grid(axes, "y")
