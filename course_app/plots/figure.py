"""A finished figure: its sentence, and its picture in formats that every reader can show.

Notebooks get an image element in HTML. From a bare picture JupyterLab makes one without a text
alternative, and from SVG one that does not shrink with its column; web pages that show notebooks
put bare SVG through a filter that takes its colours away.
"""

import base64
import io
import re
import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure as Canvas
from PIL import Image

from course_app.plots.style import INK, MUTED, blank, lay_out, renderer_of, styled
from course_app.system.files import replace_file

#: The stand-in for an SVG is small; a scatter is the picture itself and is sharp.
_FALLBACK_DPI = 100
_SCATTER_DPI = 160
_TITLE_SIZE = 11
_TITLE_MARGIN_INCHES = 0.15
#: The name by which style sheets and reports find a figure in a page.
FIGURE_CLASS = "course-figure"
#: In a dark notebook light and dark change places, and turning the hues back keeps colours what
#: they are. White becomes JupyterLab's dark background. Pages that take styles away show white.
_DARK_STYLE = (
    f'<style>[data-jp-theme-light="false"] img.{FIGURE_CLASS}'
    "{filter:invert(.93) hue-rotate(180deg)}</style>"
)
#: Figures use few colours: a palette makes a PNG three times smaller.
_PNG_COLORS = 256


@dataclass(frozen=True)
class Figure:
    """A picture with its message. The last expression of a notebook cell shows it.

    ``svg`` is None for scatters: thousands of points as SVG weigh megabytes.
    """

    title: str
    svg: str | None
    png: bytes
    width_pixels: int

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data = {"text/plain": self.title, "text/html": self._html(), "image/png": self.png}
        return data, {"image/png": {"alt": self.title, "width": self.width_pixels}}

    def __str__(self) -> str:
        return self.title

    def _html(self) -> str:
        kind, picture = ("png", self.png) if self.svg is None else ("svg+xml", self.svg.encode())
        return (
            f'{_DARK_STYLE}<img class="{FIGURE_CLASS}" alt="{escape(self.title, quote=True)}" '
            f'width="{self.width_pixels}" style="max-width:100%;height:auto" '
            f'src="data:image/{kind};base64,{base64.b64encode(picture).decode()}">'
        )

    def save(self, path: str | Path) -> Path:
        """Write the picture as ``.svg`` or ``.png``.

        Raises:
            ValueError: another ending, or SVG of a figure that only exists as PNG.
        """
        target = Path(path)
        if target.suffix == ".svg" and self.svg is not None:
            replace_file(target, self.svg)
        elif target.suffix == ".png":
            replace_file(target, self.png)
        else:
            raise ValueError(f"This figure cannot be saved as {target.suffix or 'no suffix'}.")
        return target


#: A number, its limits and its unit, which no line break parts.
_NUMBER = re.compile(r"(\S+ )?\[[^\]]*\]( (ms|µs|s|%|times|MB|kB|Mbit/s|requests/s)(?!\w))?")


def titled(title: str) -> Canvas:
    """An empty figure with its message on top, broken into lines that fit the width."""
    canvas = blank()
    inches = canvas.get_figwidth()
    room = (inches - 2 * _TITLE_MARGIN_INCHES) * canvas.dpi
    canvas.suptitle(
        _broken(canvas, title, room),
        x=_TITLE_MARGIN_INCHES / inches,
        ha="left",
        fontsize=_TITLE_SIZE,
        fontweight="bold",
        color=INK,
        linespacing=1.15,
    )
    return canvas


def finish(canvas: Canvas, title: str, *, scatter: bool = False) -> Figure:
    """Render. Must run inside of the figures' style.

    Args:
        scatter: many points; render as PNG only.
    """
    # Laid out once, and not again for each file: that would take longer than drawing does.
    lay_out(canvas)
    canvas.set_layout_engine(None)
    dpi = _SCATTER_DPI if scatter else _FALLBACK_DPI
    svg = None if scatter else _svg(canvas, title)
    return Figure(title, svg, _png(canvas, dpi), round(canvas.get_figwidth() * 96))


def nothing_known(title: str, why: str = "not known: this system does not tell") -> Figure:
    """In the place of a picture, where there is nothing to draw."""
    with styled():
        canvas = titled(title)
        canvas.set_figheight(1.2)
        canvas.text(0.5, 0.3, why, ha="center", color=MUTED)
        return finish(canvas, title)


def kept_together(title: str) -> str:
    """The title with spaces that no line break uses around and in brackets of limits."""
    return _NUMBER.sub(lambda match: match[0].replace(" ", "\N{NO-BREAK SPACE}"), title)


def _broken(canvas: Canvas, title: str, room_pixels: float) -> str:
    title = kept_together(title)
    renderer = renderer_of(canvas)
    for characters in range(120, 20, -1):
        lines = textwrap.fill(title, characters, break_long_words=False, break_on_hyphens=False)
        probe = canvas.text(0, 0, lines, fontsize=_TITLE_SIZE, fontweight="bold")
        width = probe.get_window_extent(renderer).width
        probe.remove()
        if width <= room_pixels:
            return lines
    return lines


def _svg(canvas: Canvas, title: str) -> str:
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    # A notebook's HTML embeds the element itself: no XML declaration, no document type.
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    label = escape(title, quote=True)
    opening = f'<svg role="img" aria-label="{label}" style="max-width:100%;height:auto"'
    text = text.replace("<svg", opening, 1)
    if "<title>" not in text:
        text = re.sub(r"(<svg[^>]*>)", rf"\1\n <title>{escape(title)}</title>", text, count=1)
    return text


def _png(canvas: Canvas, dpi: int) -> bytes:
    raw, small = io.BytesIO(), io.BytesIO()
    canvas.savefig(raw, format="png", dpi=dpi)
    image = Image.open(raw).convert("RGB")
    # Maximum coverage keeps the few thin letters of a colour from being averaged away; the
    # rounds of k-means give large areas their exact colour.
    method = Image.Quantize.MAXCOVERAGE
    image = image.quantize(_PNG_COLORS, method, kmeans=3, dither=Image.Dither.NONE)
    image.save(small, format="PNG", optimize=True)
    return small.getvalue()
