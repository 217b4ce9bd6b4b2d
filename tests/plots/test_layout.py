"""Where texts end up: measured with the renderer, in pixels."""

from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import plot_examples as examples
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import course_app.plots  # noqa: F401  registers the figures
from course_app.plots import bars, figure, gantt, latency, pairs, panels, sweep, waterfall
from course_app.plots.labels import EndLabel, label_ends, label_points, spread
from course_app.plots.style import (
    COLORS,
    HATCHES,
    LINES,
    MARKERS,
    TEXT_CONTRAST,
    blank,
    contrast_on_white,
    readable,
    renderer_of,
    styled,
)

ROOMS = (bars, gantt, latency, pairs, panels, sweep, waterfall)

DRAWN: dict[str, Callable[[], Any]] = {
    "two bars": lambda: examples.comparison().plot(predicted=3.0),
    "six bars": lambda: examples.six_variants().plot(predicted={"pool of 1": 200.0}),
    "pairs": lambda: pairs.plot_pairs(examples.comparison()),
    "curves": lambda: examples.measurement(rate=400.0).plot(),
    "lines": lambda: examples.sweep().plot(marks={40: "40 threads"}),
    "six lines": lambda: examples.sweep(6).plot(),
    "gantt": lambda: examples.timeline().plot(),
    "waterfall": lambda: examples.trace().plot(),
    "short waterfall": lambda: examples.trace(statements=3).plot(),
}


@pytest.fixture
def canvases(monkeypatch: pytest.MonkeyPatch) -> list[Canvas]:
    """The canvases that are drawn during a test, kept for a look at them."""
    kept: list[Canvas] = []

    def titled(title: str) -> Canvas:
        kept.append(figure.titled(title))
        return kept[-1]

    for room in ROOMS:
        monkeypatch.setattr(room, "titled", titled)
    return kept


def texts_of(canvas: Canvas) -> list[tuple[str, Bbox]]:
    renderer = renderer_of(canvas)
    hidden = hidden_tick_labels(canvas)
    shown = (t for t in canvas.findobj(Text) if t.get_visible() and t.get_text().strip())
    return [(t.get_text(), t.get_window_extent(renderer)) for t in shown if t not in hidden]


def hidden_tick_labels(canvas: Canvas) -> set[Text]:
    """Ticks beyond an axis' ends have texts that are never drawn."""
    axes = [axis for each in canvas.axes for axis in (each.xaxis, each.yaxis)]
    return {
        label
        for axis in axes
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }


def overlap(a: Bbox, b: Bbox) -> float:
    """The shared area as a share of the smaller box."""
    shared = Bbox.intersection(a, b)
    if shared is None:
        return 0.0
    return float(shared.width * shared.height) / min(a.width * a.height, b.width * b.height)


@pytest.mark.parametrize("kind", DRAWN)
def test_every_text_is_whole_and_has_its_own_place(kind: str, canvases: list[Canvas]) -> None:
    DRAWN[kind]()
    assert {tuple(canvas.get_size_inches()) for canvas in canvases} == {(7.0, 3.8)}
    boxes = texts_of(canvases[-1])
    assert len(boxes) > 5
    clashes = [(a[0], b[0]) for a, b in combinations(boxes, 2) if overlap(a[1], b[1]) > 0.1]
    assert clashes == []
    width, height = canvases[-1].bbox.width, canvases[-1].bbox.height
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text


def test_axes_have_labels_with_units(canvases: list[Canvas]) -> None:
    examples.sweep().plot()
    (axes,) = canvases[-1].axes
    bars = "(bars: lowest and highest of 3 windows)"
    assert axes.get_ylabel() == f"throughput, requests/s\n{bars}"
    assert axes.get_xlabel() == "concurrency"


def test_panels_with_the_same_names_show_them_in_as_many_columns(canvases: list[Canvas]) -> None:
    """What one panel's names take while they are tried is not missing to its neighbour."""
    names = ("dicts", "model", "instances", "prebuilt bytes")
    lines = {name: [(x, x, x, x) for x in (1.0, 1000.0)] for name in names}
    panels.plot_panels({"µs / request": lines, "times as fast": lines}, x_label="", title="Two")
    columns = []
    for axes in canvases[-1].axes:
        legend = axes.get_legend()
        assert legend is not None
        columns.append(len({round(text.get_window_extent().x0) for text in legend.get_texts()}))
    assert columns == [2, 2]


def test_labels_that_have_room_stay_where_they_are() -> None:
    assert spread([10.0, 50.0, 90.0], [12.0] * 3, 0, 100) == [10.0, 50.0, 90.0]


def test_labels_that_touch_share_the_place_around_their_middle() -> None:
    assert spread([50.0, 50.0], [10.0, 10.0], 0, 100) == [45.0, 55.0]
    assert spread([50.0, 52.0, 48.0], [10.0] * 3, 0, 100) == [50.0, 60.0, 40.0]


def test_labels_stay_between_the_ends_of_the_axis() -> None:
    assert spread([99.0, 99.0], [10.0, 10.0], 0, 100) == [85.0, 95.0]
    assert spread([0.0, 1.0], [10.0, 10.0], 0, 100) == [5.0, 15.0]


def test_spread_labels_never_overlap() -> None:
    wanted = [3.0, 97.0, 96.0, 50.0, 51.0, 52.0, 4.0]
    places = sorted(spread(wanted, [9.0] * 7, 0, 100))
    assert all(b - a >= 9.0 - 1e-9 for a, b in pairwise(places))


def test_texts_in_the_series_colours_can_be_read_on_white() -> None:
    for color in COLORS:
        rgb = tuple(int(readable(color)[i : i + 2], 16) / 255 for i in (1, 3, 5))
        assert contrast_on_white(rgb) >= TEXT_CONTRAST * 0.99  # type: ignore[arg-type]


def test_no_two_series_look_alike_without_colour() -> None:
    assert len(set(MARKERS)) == len(set(HATCHES)) == len(COLORS)
    assert len({str(line) for line in LINES[:4]}) == 4


@pytest.mark.parametrize(
    ("title", "together"),
    [
        ("A connection takes 9.1 [8.2, 10] times as long", "9.1~[8.2,~10]~times"),
        ("Waiting 5.8 [5.3, 6.2 at 90%] ms and more", "5.8~[5.3,~6.2~at~90%]~ms"),
        ("From 64 [33, 95] % hits on", "64~[33,~95]~%"),
        ("It answers 640 [610, 690] requests/s", "640~[610,~690]~requests/s"),
        ("The guide's list [as it is]", "list~[as~it~is]"),
    ],
)
def test_no_line_break_parts_a_number_from_its_limits_and_unit(title: str, together: str) -> None:
    assert together.replace("~", "\N{NO-BREAK SPACE}") in figure.kept_together(title)


def test_a_point_s_name_lies_on_no_line_and_on_no_other_name() -> None:
    """Two lines that cross, and two points beside each other."""
    axes = blank().add_subplot()
    lines = [[(0.0, 0.0), (5.0, 5.0), (10.0, 9.9)], [(0.0, 9.0), (5.2, 5.0), (10.0, 0.0)]]
    for line in lines:
        axes.plot(*zip(*line, strict=True))
    names = [EndLabel(f"{x:g}", x, y, "black") for line in lines for x, y in line]
    label_points(axes, names, lines)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [name.text for name in names]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    corners = [axes.transData.transform(line) for line in lines]
    along = [a + t / 50 * (b - a) for line in corners for a, b in pairwise(line) for t in range(51)]
    assert not any(box.contains(*point) for box in boxes for point in along)


def test_the_name_of_a_line_that_ends_early_stands_beside_the_longest_one() -> None:
    with styled():
        canvas = blank()
        axes = canvas.add_subplot()
        short, long = [(1.0, 1.0), (2.0, 1.0)], [(1.0, 1.1), (2.0, 1.0), (4.0, 1.0)]
        for line in (short, long):
            axes.plot(*zip(*line, strict=True))
        notes = label_ends(axes, [EndLabel("name", *line[-1], "black") for line in (short, long)])
        renderer = renderer_of(canvas)
        edge = axes.transData.transform((4.0, 1.0))[0]
        assert all(note.get_window_extent(renderer).x0 > edge for note in notes)
