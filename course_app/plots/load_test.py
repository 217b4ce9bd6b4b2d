"""What Locust told while it ran: the median of each endpoint, or its requests, over time."""

import numpy as np

from course_app.measure.load_test import LoadTest
from course_app.plots.figure import Figure
from course_app.plots.over_time import Series, plot_over_time


def plot_load_test(result: LoadTest, *, title: str | None = None) -> Figure:
    """Each endpoint's median so far, report by report.

    Args:
        title: the message; the result's own if not given.
    """
    return plot_over_time(
        {name: _medians(result, name) for name in result.endpoints},
        y_label="median so far, ms",
        x_label="seconds since the first figures",
        title=title or result.message,
    )


def _medians(result: LoadTest, name: str) -> Series:
    seen = [
        (report.seconds, endpoint.p50_ms)
        for report in result.live
        for endpoint in report.endpoints
        if endpoint.name == name
    ]
    seconds, medians = np.array(seen).T
    return seconds, medians
