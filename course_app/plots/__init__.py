"""Figures of measured results, in one style.

Importing this package lets ``result.plot()`` work. Figures of several results, or of plain
numbers, are functions here.
"""

from course_app.measure.bystanders import Bystanders
from course_app.measure.calls import CallComparison
from course_app.measure.comparison import Comparison
from course_app.measure.lag import LoopLag
from course_app.measure.load_test import LoadTest
from course_app.measure.measurement import Measurement
from course_app.measure.profile import FlameGraph
from course_app.measure.result import register_plot
from course_app.measure.sweep import Sweep
from course_app.measure.timeline import Timeline
from course_app.measure.trace import Trace
from course_app.plots.amdahl import Gain, plot_amdahl
from course_app.plots.bars import Bar, plot_bars, plot_comparison
from course_app.plots.bystanders import plot_bystanders
from course_app.plots.calibration import plot_calibration
from course_app.plots.calls import plot_calls
from course_app.plots.counts import plot_counts
from course_app.plots.dots import Dot, plot_dots
from course_app.plots.figure import Figure
from course_app.plots.flame import plot_flame
from course_app.plots.gantt import plot_timeline, plot_timelines
from course_app.plots.latency import plot_latency, plot_measurement
from course_app.plots.load_test import plot_load_test
from course_app.plots.over_time import plot_lag, plot_loop_lag, plot_over_time, plot_requests
from course_app.plots.pairs import plot_pairs
from course_app.plots.panels import plot_panels
from course_app.plots.passes import plot_passes
from course_app.plots.strip import plot_distribution
from course_app.plots.sweep import plot_lines, plot_sweep
from course_app.plots.transfer import plot_transfer
from course_app.plots.waterfall import plot_trace

__all__ = [
    "Bar",
    "Dot",
    "Figure",
    "Gain",
    "plot_amdahl",
    "plot_bars",
    "plot_bystanders",
    "plot_calibration",
    "plot_calls",
    "plot_comparison",
    "plot_counts",
    "plot_distribution",
    "plot_dots",
    "plot_flame",
    "plot_lag",
    "plot_latency",
    "plot_lines",
    "plot_load_test",
    "plot_loop_lag",
    "plot_measurement",
    "plot_over_time",
    "plot_pairs",
    "plot_panels",
    "plot_passes",
    "plot_requests",
    "plot_sweep",
    "plot_timeline",
    "plot_timelines",
    "plot_trace",
    "plot_transfer",
]

register_plot(Bystanders, plot_bystanders)
register_plot(CallComparison, plot_calls)
register_plot(Comparison, plot_comparison)
register_plot(FlameGraph, plot_flame)
register_plot(LoadTest, plot_load_test)
register_plot(LoopLag, plot_loop_lag)
register_plot(Measurement, plot_measurement)
register_plot(Sweep, plot_sweep)
register_plot(Timeline, plot_timeline)
register_plot(Trace, plot_trace)
