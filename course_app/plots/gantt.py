"""A timeline as a Gantt chart: one row a request, three stages in a row."""

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


def plot_timeline(result: Timeline, *, title: str | None = None) -> Figure:
    """When each request waited, was served and was written back.

    Args:
        title: the message; the timeline's own if not given.
    """
    message = title or result.message
    with styled():
        canvas = titled(message)
        axes = canvas.add_subplot()
        starts = result.client_start_ms
        _stage(axes, starts, result.queued_ms, _QUEUED)
        _stage(axes, result.server_start_ms, result.service_ms, _SERVICE)
        _stage(axes, result.server_end_ms, result.write_back_ms, _WRITE_BACK)
        _finish_axes(axes, result)
        return finish(canvas, message, scatter=starts.size > _GAPS_UP_TO)


def _stage(axes: Axes, starts: Floats, lengths: Floats, color: str) -> None:
    height = 0.8 if starts.size <= _GAPS_UP_TO else 1.0
    axes.barh(
        range(1, starts.size + 1), lengths, left=starts, height=height, color=color, linewidth=0
    )


def _finish_axes(axes: Axes, result: Timeline) -> None:
    end = float(max(result.client_end_ms.max(), result.server_end_ms.max()))
    axes.set_xlim(0, end * 1.02)
    axes.set_ylim(result.client_start_ms.size + 0.8, 0.2)
    linear_ticks(axes.xaxis, 7)
    linear_ticks(axes.yaxis, 6, whole=True)
    only_grid(axes, "x")
    axes.set_xlabel("ms since the first request was sent")
    axes.set_ylabel("request, in order of sending")
    stages = {"queueing": _QUEUED, "service": _SERVICE, "write-back": _WRITE_BACK}
    axes.legend(
        handles=[Patch(color=color, label=name) for name, color in stages.items()],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(stages),
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=1.4,
    )
