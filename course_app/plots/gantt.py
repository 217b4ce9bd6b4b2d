"""Timelines as Gantt charts: one row a request, three stages in a row."""

from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from course_app.measure.statistics import Floats
from course_app.measure.timeline import Timeline
from course_app.plots.figure import Figure, finish, titled
from course_app.plots.style import linear_ticks, look, only_grid, styled

#: In the order of a request's life, from light to dark to middle: they also differ in grey.
_QUEUED = "#c9c9c9"
_SERVICE = look(0).color
_WRITE_BACK = look(4).color
#: More rows have no room for gaps between them, and are too many shapes for an SVG.
_GAPS_UP_TO = 100
#: What a further timeline adds to a figure's height, as a share of it.
_MORE_HEIGHT = 0.5


def plot_timeline(result: Timeline, *, title: str | None = None) -> Figure:
    """When each request waited, was served and was written back.

    Args:
        title: the message; the timeline's own if not given.
    """
    return plot_timelines({"": result}, title=title or result.message)


def plot_timelines(timelines: Mapping[str, Timeline], *, title: str) -> Figure:
    """Timelines one below the other, over one axis of time.

    Args:
        timelines: by the name that stands above each.
    """
    end_ms = max(map(_end_ms, timelines.values()))
    with styled():
        canvas = titled(title)
        canvas.set_figheight(canvas.get_figheight() * (1 + _MORE_HEIGHT * (len(timelines) - 1)))
        rows = canvas.subplots(len(timelines), 1, sharex=True, squeeze=False).ravel()
        for axes, (name, result) in zip(rows, timelines.items(), strict=True):
            _stages(axes, result)
            axes.set_title(name, fontweight="bold")
        _legend(rows[0])
        rows[0].set_xlim(0, end_ms * 1.02)
        rows[-1].set_xlabel("ms since the first request was sent")
        canvas.supylabel("request, in order of sending", fontsize=mpl.rcParams["axes.labelsize"])
        most = max(result.client_start_ms.size for result in timelines.values())
        return finish(canvas, title, scatter=most > _GAPS_UP_TO)


def _stages(axes: Axes, result: Timeline) -> None:
    _stage(axes, result.client_start_ms, result.queued_ms, _QUEUED)
    _stage(axes, result.server_start_ms, result.service_ms, _SERVICE)
    _stage(axes, result.server_end_ms, result.write_back_ms, _WRITE_BACK)
    axes.set_ylim(result.client_start_ms.size + 0.8, 0.2)
    linear_ticks(axes.xaxis, 7)
    linear_ticks(axes.yaxis, 6, whole=True)
    only_grid(axes, "x")


def _end_ms(result: Timeline) -> float:
    return float(max(result.client_end_ms.max(), result.server_end_ms.max()))


def _stage(axes: Axes, starts: Floats, lengths: Floats, color: str) -> None:
    height = 0.8 if starts.size <= _GAPS_UP_TO else 1.0
    axes.barh(
        range(1, starts.size + 1), lengths, left=starts, height=height, color=color, linewidth=0
    )


def _legend(axes: Axes) -> None:
    stages = {"queueing": _QUEUED, "service": _SERVICE, "write-back": _WRITE_BACK}
    axes.legend(
        handles=[Patch(color=color, label=name) for name, color in stages.items()],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(stages),
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=1.4,
    )
