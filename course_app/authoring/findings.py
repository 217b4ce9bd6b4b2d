"""What a report takes out of an executed notebook: verdicts, figures, the machine card."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from nbformat import NotebookNode

from course_app.measure.claim import VERDICT_MIME
from course_app.measure.machine import MACHINE_MIME
from course_app.measure.statistics import significant
from course_app.plots.figure import FIGURE_CLASS

#: What the report says of a claim that no lesson of the run gave a verdict on.
NOT_MEASURED = "not measured in this run"

#: Limits of an interval beyond these stand for "unbounded" (see ``statistics``).
_SMALLEST, _LARGEST = 1e-6, 1e6

_FACTOR = re.compile(r"\d[\d.,]*x\b")
_FIGURE = re.compile(rf'<img class="{FIGURE_CLASS}" alt="([^"]*)" width="(\d+)".* src="([^"]*)">')


@dataclass(frozen=True)
class Condition:
    """A condition that a verdict rests on: it held, it did not, or (None) nobody can tell."""

    text: str
    held: bool | None

    @property
    def mark(self) -> str:
        """A sign and its word: colour and sign are never the only difference."""
        return {True: "✓ held", False: "✗ did not hold", None: "? cannot tell"}[self.held]


@dataclass(frozen=True)
class Verdict:
    """A lesson's verdict on a claim. ``number`` holds its unit and interval, as text.

    ``factor`` is the same for programs: estimate, low and high of what is a speed-up or a ratio.
    ``noise`` is that of the lesson until the verdict.
    """

    claim: str
    verdict: str
    because: str
    number: str
    conditions: tuple[Condition, ...]
    factor: tuple[float, float, float] | None = None
    noise: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """The verdict as one word that a style sheet can name."""
        return self.verdict.replace(" ", "-")


@dataclass(frozen=True)
class Picture:
    """A figure: its message, its picture as a data URI, its width in pixels."""

    title: str
    uri: str
    width: int

    @property
    def svg(self) -> str | None:
        """The picture's text, if it is drawn by lines and not by pixels."""
        kind, _, data = self.uri.partition(";base64,")
        return base64.b64decode(data).decode() if kind == "data:image/svg+xml" else None


@dataclass(frozen=True)
class Findings:
    """What one executed lesson says. ``verdicts`` holds the last one on each claim."""

    verdicts: tuple[Verdict, ...]
    pictures: tuple[Picture, ...]
    machine: Mapping[str, Any] | None


def findings(notebook: NotebookNode) -> Findings:
    """Read all outputs of a notebook."""
    verdicts: dict[str, Verdict] = {}
    pictures: list[Picture] = []
    machine: Mapping[str, Any] | None = None
    for output in outputs(notebook):
        data = output.get("data", {})
        if VERDICT_MIME in data:
            verdict = _verdict(data[VERDICT_MIME])
            verdicts[verdict.claim] = verdict
        machine = data.get(MACHINE_MIME, machine)
        if (found := picture(output)) is not None:
            pictures.append(found)
    return Findings(tuple(verdicts.values()), tuple(pictures), machine)


def outputs(notebook: NotebookNode) -> Iterator[Any]:
    """All outputs of all cells, in order."""
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def picture(output: Any) -> Picture | None:
    """The figure that an output shows, if it shows one."""
    found = _FIGURE.search(output.get("data", {}).get("text/html", ""))
    return Picture(unescape(found[1]), found[3], int(found[2])) if found else None


def _verdict(data: Mapping[str, Any]) -> Verdict:
    return Verdict(
        claim=str(data["claim"]),
        verdict=str(data["verdict"]),
        because=str(data.get("because", "")),
        number=_number(data),
        conditions=tuple(Condition(c["text"], c["held"]) for c in data.get("conditions", ())),
        factor=_estimated(data),
        noise=data.get("noise"),
    )


def _estimated(data: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """None also where an end is unbounded or unknown: nobody can draw it."""
    values = (data.get("estimate"), *(data.get("interval") or (None, None)))
    if any(value is None or not _SMALLEST < value < _LARGEST for value in values):
        return None
    estimate, low, high = map(float, values)
    return estimate, low, high


def _number(data: Mapping[str, Any]) -> str:
    """``9.1x [8.5, 9.8]``; a number given as text has its unit already, and perhaps intervals.

    In a text with several numbers the interval belongs to the first factor.
    """
    unit = str(data.get("unit") or "")
    number = data.get("number", "")
    text = number if isinstance(number, str) else f"{significant(number)}{unit}"
    if (interval := data.get("interval")) and "[" not in text:
        low, high = map(significant, interval)
        text, found = _FACTOR.subn(rf"\g<0> [{low}, {high}]", text, count=1)
        text += "" if found else f" [{low}, {high}]"
    return text.strip()
