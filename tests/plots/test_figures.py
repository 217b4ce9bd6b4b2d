import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import plot_examples as examples
import pytest
from matplotlib.axes import Axes
from PIL import Image
from representatives import others_slow

from course_app import plots
from course_app.authoring.findings import picture as picture_of
from course_app.measure.answers import WrongAnswer
from course_app.measure.prediction import Prediction
from course_app.measure.result import Result
from course_app.measure.statistics import Interval
from course_app.plots import Figure

LAG = (np.arange(0, 2, 0.005), np.where(np.arange(400) % 40 == 0, 0.05, 0.0002))
COUNTS = (np.arange(0, 10, 0.25), np.where(np.arange(40) % 12 == 0, 180.0, 2.0))

LINES_AND_BARS: dict[str, Callable[[], Figure]] = {
    "comparison": lambda: examples.comparison().plot(),
    "prediction": lambda: examples.comparison().plot(predicted=Prediction(3, "times as fast")),
    "six variants": lambda: examples.six_variants().plot(predicted={"pool of 1": 20}),
    "pairs": lambda: plots.plot_pairs(examples.comparison()),
    "measurement": lambda: examples.measurement().plot(),
    "open model": lambda: examples.measurement(rate=400.0).plot(),
    "models": lambda: plots.plot_latency({"a": examples.stalled(), "b": np.arange(1.0, 900.0)}),
    "sweep": lambda: examples.sweep().plot(marks={40: "40 threads"}, crossing=True),
    "sweep of six": lambda: examples.sweep(6).plot(metric="p50"),
    "panels": lambda: plots.plot_panels(
        {
            "time, ms": {"no index": [(1, 0.1, 0.1, 0.2), (1000, 90, 80, 99)]},
            "buffers": {"no index": [(1, 7, 7, 7), (1000, 7000, 7000, 7000)]},
        },
        x_label="thousand rows",
        title="Time follows the buffers",
    ),
    "four panels": lambda: plots.plot_panels(
        {
            label: {"a": [(1, 1, 1, 1), (9, 2, 1.5, 2.5)], "b": [(1, 1, 1, 1), (9, 1, 1, 1)]}
            for label in ("throughput", "CPU", "memory", "connections")
        },
        x_label="workers",
        title="What workers give, and what they take",
    ),
    "counts": lambda: plots.plot_counts(
        {"one worker": {"passed": 60, "refused": 340}, "two workers": {"passed": 120}},
        x_label="requests",
        title="Each worker counts for itself",
        mark=(60, "the limit"),
    ),
    "dots": lambda: plots.plot_dots(
        [
            plots.Dot("pool", Interval(0.3, 0.28, 0.33), below="2 round trips"),
            plots.Dot("connect", Interval(5.1, 4.8, 5.6), predicted=2.0),
        ],
        x_label="one request, ms",
        title="What a connection costs",
        unit="ms",
    ),
    "flame graph": lambda: examples.flame().plot(),
    "load test": lambda: examples.load_test().plot(),
    "amdahl": lambda: plots.plot_amdahl(
        {
            "free": [
                plots.Gain("authors", Interval(4, 3, 5), Interval(1.02, 0.98, 1.05)),
                plots.Gain("latest", Interval(8, 6, 10), Interval(1.09, 1.02, 1.15)),
                plots.Gain("related", Interval(87, 85, 88), Interval(7.8, 6.9, 8.8)),
            ],
            "repaired": [plots.Gain("related", Interval(87, 85, 88), Interval(5.9, 5.0, 7.0))],
        },
        title="related takes 87% of the time",
        predicted=1.3,
    ),
    "timeline": lambda: examples.timeline().plot(),
    "timelines": lambda: plots.plot_timelines(
        {"one by one": examples.timeline(), "together": examples.timeline(12)}, title="Two"
    ),
    "trace": lambda: examples.trace().plot(),
    "lag": lambda: plots.plot_lag({"blocks": LAG, "waits": LAG}),
    "over time": lambda: plots.plot_over_time(
        {"stampede": COUNTS, "single-flight": COUNTS}, y_label="queries", title="Queries"
    ),
    "over time in rows": lambda: plots.plot_over_time(
        {"stampede": COUNTS, "single-flight": COUNTS},
        y_label="queries",
        title="Queries in rows",
        steps=True,
        rows=True,
    ),
}
SCATTERS: dict[str, Callable[[], Figure]] = {
    "requests": lambda: plots.plot_requests({"open": examples.stalled(400.0)}),
    "distribution": lambda: plots.plot_distribution(examples.six_variants()),
    "bystanders": lambda: examples.bystanders().plot(),
    "bystanders of one app": lambda: examples.bystanders(1).plot(),
    "long timeline": lambda: examples.timeline(200).plot(),
}
ALL = LINES_AND_BARS | SCATTERS


@cache
def drawn(kind: str) -> Figure:
    """Drawing takes most of a test's time: several look at the same figure."""
    return ALL[kind]()


def picture(figure: Figure) -> Image.Image:
    return Image.open(io.BytesIO(figure.png)).convert("RGBA")


@pytest.mark.parametrize("kind", LINES_AND_BARS)
def test_lines_and_bars_are_svg_with_their_message_as_text_alternative(kind: str) -> None:
    figure = drawn(kind)
    assert figure.svg is not None
    opening = figure.svg[: figure.svg.index(">")]
    assert opening.startswith('<svg role="img" aria-label="')
    assert f"<title>{figure.title}</title>" in figure.svg


@pytest.mark.parametrize(("factor", "bars"), [(3.0, 2), (30.0, 0)])
def test_bars_become_dots_on_a_logarithmic_axis(
    factor: float, bars: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_bars: list[float] = []
    monkeypatch.setattr(Axes, "barh", lambda _axes, _row, width, **_: drawn_bars.append(width))
    sides = [plots.Bar("slow", 1.0), plots.Bar("fast", factor, Interval(factor, factor, factor))]
    plots.plot_bars(sides, title="Fast")
    assert len(drawn_bars) == bars


def test_a_quantity_that_nobody_knows_has_its_row_all_the_same() -> None:
    nan = float("nan")
    known, unknown = Interval(2.0, 1.0, 3.0), Interval(nan, nan, nan)
    dots = [plots.Dot("here", known), plots.Dot("elsewhere", unknown)]
    assert plots.plot_dots(dots, x_label="CPU, ms", title="CPU", unit="ms").svg is not None
    assert plots.plot_dots(dots[1:], x_label="CPU, ms", title="CPU", unit="ms").svg is not None


@pytest.mark.parametrize(
    "result",
    [
        examples.comparison,
        examples.measurement,
        examples.sweep,
        examples.timeline,
        examples.trace,
        examples.flame,
        examples.load_test,
        examples.bystanders,
    ],
)
def test_every_kind_of_result_is_json(result: Callable[[], Result]) -> None:
    assert json.loads(result().to_json())["type"] == type(result()).__name__


@pytest.mark.parametrize("kind", SCATTERS)
def test_scatters_are_png_only(kind: str) -> None:
    figure = drawn(kind)
    data, metadata = figure._repr_mimebundle_()
    assert "data:image/png;base64," in data["text/html"]
    assert metadata["image/png"]["alt"] == figure.title
    assert len(figure.png) < 150_000


@pytest.mark.parametrize("kind", others_slow(8, ALL))
def test_a_figure_is_the_same_bytes_each_time(kind: str) -> None:
    first = drawn(kind)
    assert ALL[kind]() == first
    assert first.svg is None or "<dc:date>" not in first.svg


@pytest.mark.parametrize("kind", ALL)
def test_a_figure_is_opaque_white_and_nothing_touches_its_edges(kind: str) -> None:
    pixels = np.asarray(picture(drawn(kind)))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert np.all(edge == 255)


@pytest.mark.parametrize("kind", ["sweep", "requests"])
def test_a_notebook_gets_an_image_that_shrinks_and_has_a_text_alternative(kind: str) -> None:
    figure = drawn(kind)
    data, _ = figure._repr_mimebundle_()
    assert set(data) == {"text/html", "image/png", "text/plain"}
    assert (
        f'alt="{figure.title}" width="672" style="max-width:100%;height:auto"' in data["text/html"]
    )
    shown = picture_of({"data": data})
    assert shown is not None
    assert (shown.title, shown.svg) == (figure.title, figure.svg)


def test_a_title_of_ones_own_replaces_the_message_everywhere() -> None:
    figure = examples.comparison().plot(title='Pool & co: "9.1x" <faster>')
    assert str(figure) == 'Pool & co: "9.1x" <faster>'
    shown = picture_of({"data": figure._repr_mimebundle_()[0]})
    assert shown is not None
    assert shown.title == figure.title
    assert figure.svg is not None
    assert 'aria-label="Pool &amp; co: &quot;9.1x&quot; &lt;faster&gt;"' in figure.svg
    ElementTree.fromstring(figure.svg)


def test_the_default_message_of_a_comparison_says_what_was_found() -> None:
    faster = examples.comparison().plot().title
    assert re.fullmatch(r"pool is 9\.0 \[.+\] times as fast as connect per request", faster)
    same = examples.comparison(examples.variant("a", 5.0), examples.variant("b", 5.0))
    assert same.plot().title.startswith("b is not faster than a")
    three = [examples.variant(name, ms) for name, ms in (("a", 5.0), ("b", 9.0), ("c", 20.0))]
    slow = examples.comparison(*three)
    assert slow.plot().title.startswith("None of these is faster than a; the best is b: 0.5")
    slower = examples.comparison(examples.variant("a", 5.0), examples.variant("b", 9.0))
    assert slower.plot().title.startswith("b is slower than a")


def test_wrong_answers_leave_bars_without_figures() -> None:
    wrong = replace(examples.comparison(), wrong=(WrongAnswer("pool", "GET /", "200", "500"),))
    figure = wrong.plot()
    assert "answers were wrong" in figure.title


def test_factors_without_intervals_are_drawn_without_them() -> None:
    bars = [plots.Bar("uvicorn", 1.0), plots.Bar("hypercorn", 0.6, below="80 MB")]
    assert plots.plot_bars(bars, title="Hypercorn: 0.6x").svg is not None


def test_a_figure_is_saved_by_its_ending(tmp_path: Path) -> None:
    figure = examples.comparison().plot()
    assert figure.save(tmp_path / "bars.svg").read_text() == figure.svg
    assert figure.save(tmp_path / "bars.png").read_bytes() == figure.png
    with pytest.raises(ValueError, match="pdf"):
        figure.save(tmp_path / "bars.pdf")
    with pytest.raises(ValueError, match="svg"):
        SCATTERS["requests"]().save(tmp_path / "dots.svg")


def test_the_readers_own_matplotlib_settings_change_nothing() -> None:
    before = examples.comparison().plot()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.transparent": True}):
        assert examples.comparison().plot() == before
        assert mpl.rcParams["font.size"] == 30


def test_formulas_in_names_are_plain_text() -> None:
    variants = (examples.variant("WHERE id = $1 AND x = $2", 9), examples.variant("a_b^c", 3))
    assert "WHERE id = $1" in examples.comparison(*variants).plot().title
