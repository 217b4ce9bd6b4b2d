"""Words beside points, crossings, and who passes when."""

from dataclasses import replace
from math import isnan, nan
from typing import Any

import numpy as np
import plot_examples as examples
import pytest
from matplotlib.axes import Axes
from plot_examples import NOISE
from representatives import others_slow

from course_app import plots
from course_app.measure.sweep import Point, Sweep
from course_app.measure.transfer import Delivery
from course_app.plots import over_time
from course_app.plots.style import ERROR
from course_app.plots.sweep import plot_sweep


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was written beside points, with its options."""
    texts: dict[str, Any] = {}
    annotate = Axes.annotate

    def noted(axes: Axes, text: str, *args: Any, **options: Any) -> Any:
        texts[text] = options
        return annotate(axes, text, *args, **options)

    monkeypatch.setattr(Axes, "annotate", noted)
    return texts


def test_points_have_names_of_their_own(written: dict[str, Any]) -> None:
    plots.plot_lines(
        {"gzip": [(1.0, 2.0, 1.9, 2.1), (2.0, 1.0, 0.9, 1.1)], "br": [(1.0, 3.0, 3.0, 3.0)]},
        x_label="bytes left",
        y_label="CPU",
        title="Levels",
        names={"gzip": ["level 9", "level 1"]},
    )
    assert {"level 9", "level 1"} <= set(written)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """How each line of the figures was drawn."""
    drawn: list[dict[str, Any]] = []
    plot = Axes.plot

    def noted(axes: Axes, *args: Any, **options: Any) -> Any:
        drawn.append({**options, "points": len(args[0])})
        return plot(axes, *args, **options)

    monkeypatch.setattr(Axes, "plot", noted)
    return drawn


def test_errors_are_red_crosses(drawn: list[dict[str, Any]]) -> None:
    failed = replace(
        examples.load([1.0, 2.0, 3.0], rate=1.0),
        failed_due_ns=np.array([1_000_000_000, 2_000_000_000]),
        failed_ns=np.array([1_100_000_000, 2_000_500_000]),
    )
    plots.plot_requests({"fails": failed, "does not": examples.load([1.0, 2.0], rate=1.0)})
    crosses = [(each["marker"], each["color"], each["points"]) for each in drawn]
    assert crosses.count(("x", ERROR, 2)) == 1
    assert len(crosses) == 3


def test_no_error_lies_outside_of_a_logarithmic_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_time, "finish", lambda canvas, *_, **__: canvas)
    failed = replace(
        examples.load([*[10.0] * 200, 900.0], rate=1.0),
        failed_due_ns=np.array([1_000_000_000]),
        failed_ns=np.array([1_000_050_000]),
    )
    canvas: Any = over_time.plot_requests({"fails": failed})
    (axes,) = canvas.axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 0.05


@pytest.mark.parametrize("draw", [plots.plot_latency, plots.plot_requests])
def test_latencies_of_no_right_answer_are_a_figure_that_says_so(draw: Any) -> None:
    nothing = examples.load([])
    assert draw({"a": nothing}).title == "No request was answered rightly"
    assert draw({"a": nothing}, title="All were wrong").title == "All were wrong"
    one = draw({"a": nothing, "b": examples.load([2.0, 2.0])})
    assert "b 2 ms" in one.title
    assert "a " not in one.title.partition(": ")[2]


def test_where_all_fail_their_errors_are_still_drawn(drawn: list[dict[str, Any]]) -> None:
    failed = replace(
        examples.load([]),
        failed_due_ns=np.array([1_000_000_000]),
        failed_ns=np.array([1_100_000_000]),
    )
    assert plots.plot_requests({"fails": failed}).title == "No request was answered rightly"
    assert [each["points"] for each in drawn if each["marker"] == "x"] == [1]


@pytest.mark.parametrize(("requests", "said"), [(100, "half of the"), (1000, "1 request in 100")])
def test_latencies_are_told_by_what_so_many_requests_tell(requests: int, said: str) -> None:
    figure = plots.plot_latency({"few": np.linspace(1.0, 2.0, requests)})
    assert said in figure.title


def test_what_was_computed_is_a_thin_line_without_markers(drawn: list[dict[str, Any]]) -> None:
    line = [(1.0, 2.0, 1.9, 2.1), (2.0, 1.0, 0.9, 1.1)]
    plots.plot_lines(
        {"measured": line, "by the law": line},
        x_label="clients",
        y_label="requests/s",
        title="As the law says",
        laws=["by the law"],
    )
    measured, law = drawn
    assert "marker" in measured
    assert "marker" not in law
    assert law["linewidth"] < measured.get("linewidth", 1.5)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("limit, requests", "equal at 3.0 [3.0, 3.0 at 90%] requests"),
        ("rows", "equal at 3.0 [3.0, 3.0 at 90%]"),
    ],
)
def test_a_crossing_has_the_unit_of_its_parameter(
    parameter: str, said: str, written: dict[str, Any]
) -> None:
    def line(*values: float) -> tuple[Point, ...]:
        return tuple(Point(x, {"p50": (y, y, y)}) for x, y in zip((1.0, 5.0), values, strict=True))

    swept = Sweep(parameter, "p50", {"up": line(1, 4), "down": line(4, 1)}, "GET /", NOISE)
    plot_sweep(swept, crossing=True)
    assert said in [" ".join(text.split()) for text in written]


Line = list[tuple[float, float, float, float]]


def crossed(written: dict[str, Any], first: Line, second: Line, *, log: bool = True) -> set[str]:
    """What is written on the figure of two lines."""
    written.clear()
    plots.plot_lines(
        {"first": first, "second": second},
        x_label="",
        y_label="",
        title="",
        x_log=log,
        y_log=log,
        crossing="at {:.0f}",
    )
    return set(written)


def level(y: float) -> Line:
    return [(x, y, nan, nan) for x in (1.0, 100.0)]


@pytest.mark.parametrize("log", [True, False])
def test_a_crossing_lies_between_the_crossings_of_limits(
    log: bool, written: dict[str, Any]
) -> None:
    rising = [(x, x, x / 2, 2 * x) for x in (1.0, 100.0)]
    assert "at 10 [5, 20]" in crossed(written, rising, level(10), log=log)


@pytest.mark.parametrize(("y", "said"), [(100, "at 10 [10, 10]"), (10, "at 3 [3, 3]")])
def test_a_crossing_is_where_the_drawn_lines_meet(
    y: float, said: str, written: dict[str, Any]
) -> None:
    # Between (1, 1) and (100, 10000) a straight line on logarithmic axes is a square.
    square = [(1.0, 1.0, nan, nan), (100.0, 1e4, nan, nan)]
    assert said in crossed(written, square, level(y))


def test_limits_that_never_meet_leave_a_crossing_open_to_the_end(written: dict[str, Any]) -> None:
    rising = [(1.0, 1.0, 0.5, 100.0), (100.0, 100.0, 5.0, 200.0)]
    assert "at 10 [1, 100]" in crossed(written, rising, level(10))


def test_the_name_of_a_short_first_stretch_stays_right_of_the_axis(
    written: dict[str, Any],
) -> None:
    ways = {
        "small": Delivery(np.full(5, 20.0), 1e3),  # first up to 5 Mbit/s
        "large": Delivery(np.full(5, 0.1), 14e3),
    }
    plots.plot_transfer(ways, title="Small pays on slow links")
    assert written["small is first"]["ha"] == "left"
    assert written["large is first"]["ha"] == "center"


def test_who_passes_is_told_for_each_limiter(written: dict[str, Any]) -> None:
    times = [0.1, 0.2, 0.3]
    figure = plots.plot_passes(
        {"strict": (times, [True, False, False]), "kind": (times, [True, True, True])},
        title="The strict one lets one pass",
        borders=[0.25],
        border="a window begins",
    )
    assert figure.svg is not None
    assert {"1 pass\n2 refused", "3 pass\n0 refused", "a window begins"} <= set(written)


UNKNOWN = (2.0, nan, nan, nan)


@pytest.mark.parametrize("log", others_slow(1, [None, True, False]))
@pytest.mark.parametrize(
    "lines",
    [
        {"one": [UNKNOWN]},
        {"one": [UNKNOWN, (4.0, 5.0, nan, nan)]},
        {"one": [UNKNOWN], "other": [(2.0, 3.0, 2.0, 4.0), (4.0, 9.0, 8.0, 9.5)]},
        {"one": [(1.0, 5.0, 4.0, 6.0), UNKNOWN, (4.0, 5.0, 4.0, 6.0)], "other": level(5)},
    ],
)
def test_what_a_window_could_not_tell_is_left_out(
    lines: dict[str, Line], log: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, plot = [], Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda axes, x, *rest, **how: drawn.extend(x) or plot(axes, x, *rest, **how)
    )
    axes = {"x_label": "x", "title": "", "x_log": log, "y_log": log}
    names = {"one": [str(x) for x, *_ in lines["one"]]}
    crossing = "at {:.0f}" if len(lines) > 1 else None
    plots.plot_lines(lines, y_label="y", names=names, crossing=crossing, **axes)  # type: ignore[arg-type]
    known = [x for line in lines.values() for x, y, *_ in line if not isnan(y)]
    assert drawn == known
    plots.plot_panels({"y": lines}, **axes)  # type: ignore[arg-type]
    assert drawn == 2 * known


def test_the_best_window_is_one_that_is_known() -> None:
    ((first, *others),) = examples.sweep(1).series.values()
    still = replace(first, windows=dict.fromkeys(first.windows, (nan, nan, nan)))
    for metric in first.windows:
        swept = replace(examples.sweep(), metric=metric, series={"sync": (still, *others)})
        assert swept.best("sync") is not still
        assert "not known" not in swept.message + swept.plot().title
