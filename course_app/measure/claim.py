"""The verdict on a claim of the guide: what this machine measured says about it.

A verdict is shown only together with the conditions that it rests on. If one of them did
not hold in this run, or could not be told, the text says so instead of the verdict.
"""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from course_app.measure.comparison import Comparison
from course_app.measure.noise import NoiseReport
from course_app.measure.statistics import Interval

VERDICT_MIME = "application/vnd.course.verdict+json"

#: What a lesson may say of a claim; "holds when" names its condition in ``because``.
VERDICTS = ("holds", "holds when", "outdated", "wrong")
CANNOT_TELL = "cannot tell"
NOT_CONFIRMED = "not confirmed here"

_MARKS = {True: "✓", False: "✗", None: "?"}
_COLOURS = {"holds": "#009E73", "holds when": "#0072B2", "outdated": "#CC79A7", "wrong": "#D55E00"}


@dataclass(frozen=True)
class ClaimVerdict:
    """A verdict with its reason, one figure and the conditions that were checked.

    ``conditions`` maps a sentence to True (it held), False (it did not) or None (this
    machine could not tell); the verdict stands only if all of them held. ``noise`` is that of the
    whole lesson until here.
    """

    claim: str
    proposed: str
    because: str
    conditions: Mapping[str, bool | None]
    speedup: Interval | None = None
    number: str = ""
    text: str = field(default="")
    noise: NoiseReport | None = None

    def __post_init__(self) -> None:
        if self.proposed not in VERDICTS:
            raise ValueError(f"{self.proposed!r} is not a verdict: choose from {VERDICTS}")
        if not self.conditions:
            raise ValueError("A verdict needs at least one measured condition.")
        # Measured arrays give truth values of NumPy's, which are no `False` and no JSON.
        held = {text: None if h is None else bool(h) for text, h in self.conditions.items()}
        object.__setattr__(self, "conditions", held)

    @property
    def verdict(self) -> str:
        """The proposed verdict, or what has to be said instead of it."""
        held = self.conditions.values()
        if any(value is False for value in held):
            return NOT_CONFIRMED
        return CANNOT_TELL if any(value is None for value in held) else self.proposed

    @property
    def stands(self) -> bool:
        """All conditions held."""
        return self.verdict == self.proposed

    def to_dict(self) -> dict[str, Any]:
        """The verdict as the report reads it; numbers only where all three are known and bounded.

        Others are no JSON: Jupyter makes texts of them.
        """
        speedup = self.speedup
        bounded = speedup and all(map(math.isfinite, (speedup.estimate, speedup.low, speedup.high)))
        factor = speedup if bounded else None
        return {
            "claim": self.claim,
            "text": self.text,
            "verdict": self.verdict,
            "proposed": self.proposed,
            "because": self.because,
            "number": self.number or (str(speedup) if speedup else ""),
            "estimate": factor.estimate if factor else None,
            "interval": [factor.low, factor.high] if factor else None,
            "unit": "x" if speedup else "",
            "conditions": [{"text": t, "held": h} for t, h in self.conditions.items()],
            "noise": self.noise.to_dict() if self.noise else None,
        }

    def __str__(self) -> str:
        number = f" ({self.number or self.speedup})" if self.number or self.speedup else ""
        lines = [f"Claim {self.claim}: {self.verdict.upper()}{number}. {self._reason}"]
        lines += [f"  {_MARKS[held]} {text}" for text, held in self.conditions.items()]
        return "\n".join(lines)

    @property
    def _reason(self) -> str:
        if self.stands:
            return self.because
        return f"The course says “{self.proposed}”: {self.because}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": str(self), "text/html": self._html(), VERDICT_MIME: self.to_dict()}

    def _html(self) -> str:
        colour = _COLOURS.get(self.verdict, "#888888")
        number = html.escape(str(self.number or self.speedup or ""))
        items = "".join(
            f"<li style='list-style:none'>{_MARKS[held]} {html.escape(text)}</li>"
            for text, held in self.conditions.items()
        )
        return (
            f'<div style="border-left:.4em solid {colour};padding:.2em 1em;margin:.5em 0">'
            f"<p style='margin:.2em 0'>The guide says: <em>{html.escape(self.text)}</em></p>"
            f"<p style='margin:.2em 0'><strong>{html.escape(self.verdict.capitalize())}</strong> "
            f"{number}<br>{html.escape(self._reason)}</p>"
            f"<ul style='margin:.3em 0;padding:0;font-size:.9em'>{items}</ul></div>"
        )


def speedup_of(evidence: Comparison | Interval | None) -> Interval | None:
    """The speed-up behind a verdict's figure."""
    if isinstance(evidence, Comparison):
        return None if evidence.wrong else evidence.speedup()
    return evidence
