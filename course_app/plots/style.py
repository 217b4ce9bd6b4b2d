"""The one look of all figures: size, colours, axes, number formats.

Colour never carries a difference alone: each series also has a marker, a line style and a
hatch. Figures are made without pyplot, so nothing is shown twice and no state is shared.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

SIZE_INCHES = (7.0, 3.8)
INK = "#222222"
MUTED = "#5f5f5f"
GRID = "#d9d9d9"

#: Okabe and Ito's palette for all kinds of colour vision (https://jfly.uni-koeln.de/color/),
#: without its yellow, which is too light for lines on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Of crosses alone, so that no series is taken for errors.
ERROR = "#B00020"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", (0, (6, 2)), (0, (5, 1.5, 1, 1.5)), (0, (1.5, 1.5)), (0, (8, 2, 2, 2)), "-", "--")
HATCHES = ("", "//", "\\\\", "x", "--", "||", "+")

#: WCAG 2 asks for this contrast between text and background.
TEXT_CONTRAST = 4.5

_RC: Any = {
    "figure.figsize": SIZE_INCHES,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    # A name such as `$id` in a label is text, never a formula.
    "text.parse_math": False,
    "text.usetex": False,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "path",
    # Ids derived from the content: the same figure is the same bytes each time.
    "svg.hashsalt": "course",
}


@dataclass(frozen=True)
class Look:
    """How one series is told from the others."""

    color: str
    text: str
    marker: str
    line: Any
    hatch: str


def look(index: int) -> Look:
    """The look of the series with that number; it repeats after seven."""
    i = index % len(COLORS)
    return Look(COLORS[i], readable(COLORS[i]), MARKERS[i], LINES[i], HATCHES[i])


@contextmanager
def styled() -> Iterator[None]:
    """The figures' settings, whatever the reader's own matplotlib settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def blank() -> Canvas:
    """An empty figure of the course's size, laid out so that nothing is cut off."""
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    return Canvas(figsize=SIZE_INCHES, layout=layout)


def lay_out(canvas: Canvas) -> None:
    """Give everything its place, so that it can be asked for it. (To draw would take as long.)"""
    engine = canvas.get_layout_engine()
    if canvas.axes and engine is not None:
        engine.execute(canvas)


def renderer_of(canvas: Canvas) -> RendererAgg:
    """What measures texts in pixels."""
    renderer: RendererAgg = FigureCanvasAgg(canvas).get_renderer()  # type: ignore[no-untyped-call]
    return renderer


def readable(color: str) -> str:
    """The colour, darkened until text in it can be read on white."""
    red, green, blue = to_rgb(color)
    factor = 1.0
    while contrast_on_white((red * factor, green * factor, blue * factor)) < TEXT_CONTRAST:
        factor -= 0.02
    return to_hex((red * factor, green * factor, blue * factor))


def contrast_on_white(rgb: tuple[float, float, float]) -> float:
    """Contrast ratio with white, 1 to 21 (WCAG 2.2, "relative luminance")."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


def number(value: float) -> str:
    """A tick's or label's number: 0.05, 0.5, 5, 50, 5 000 as ``5,000``; no exponents."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    digits = 3 if size >= 1 else 2
    return f"{value:.{digits}g}" if size >= 1e-4 else f"{value:.1e}"


def linear_ticks(axis: Axis, most: int = 6, *, whole: bool = False) -> None:
    """A handful of round numbers."""
    steps = [1, 2, 5, 10] if whole else [1, 2, 2.5, 5, 10]
    axis.set_major_locator(MaxNLocator(most, steps=steps, integer=whole, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def log_ticks(axis: Axis, low: float, high: float, *, few: bool = False) -> None:
    """1, 10, 100; also 2 and 5 where the axis spans less than three decades and has room."""
    span = high / max(low, 1e-12)
    subs = [1.0] if few or span > 1e3 else [1.0, 2.0, 5.0]
    if span < 8 and not few:
        subs = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]
    axis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def ticks_up_to(axis: Axis, last: float) -> None:
    """Keep the ticks that data can reach, where the axis is longer to make room for text."""
    low, high = sorted(axis.get_view_interval())
    axis.set_ticks([t for t in axis.get_majorticklocs() if low <= t <= min(high, last)])


def listed(values: Mapping[str, float], unit: str) -> str:
    """Names with their values; of more than three, the lowest and the highest."""
    said = {name: f"{number(float(f'{value:.2g}'))} {unit}" for name, value in values.items()}
    if len(said) <= 3:
        return ", ".join(f"{name} {text}" for name, text in said.items())
    ends = (min(values, key=lambda n: values[n]), max(values, key=lambda n: values[n]))
    return " to ".join(f"{said[name]} ({name})" for name in ends)


def only_grid(axes: Axes, direction: str) -> None:
    """Grid lines along one axis (``x`` or ``y``): the one whose values are read off."""
    axes.grid(False)
    axes.grid(True, axis="x" if direction == "x" else "y")
