"""What a learner predicted, and what was measured then: kept for the learner's own calibration.

One small file for each prediction, in the user's state folder. The first number counts: a better
one that is written down afterwards says nothing about what was expected.
"""

import contextlib
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from course_app.measure.prediction import CLOSE_FACTOR, inside
from course_app.measure.statistics import CONFIDENCE, Interval
from course_app.system import homes


@dataclass(frozen=True)
class Kept:
    """One prediction. ``low`` and ``high`` are the limits of what was ``measured``."""

    lesson: str
    what: str
    predicted: float
    measured: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def interval(self) -> Interval:
        """What was measured, with its limits."""
        return Interval(self.measured, self.low, self.high, self.confidence)

    @property
    def factor(self) -> float | None:
        """Measured as a multiple of predicted; None where one of them is zero or less."""
        if self.predicted <= 0 or self.measured <= 0:
            return None
        return self.measured / self.predicted

    @property
    def good(self) -> bool:
        """Inside of the interval, or close to what was measured."""
        factor = self.factor
        close = factor is not None and 1 / CLOSE_FACTOR < factor < CLOSE_FACTOR
        return close or inside(self.predicted, self.interval)


_KEPT = TypeAdapter(Kept)


class Predictions:
    """Keeps predictions and reads them.

    Args:
        folder: where the files lie; the user's state folder of the course if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or homes.state_folder() / "predictions"

    def keep(self, lesson: str, what: str, predicted: float, measured: Interval) -> str:
        """Write one down, unless there is one: also where another notebook does so just now.

        Returns:
            Why it could not be kept, in a sentence; nothing if it was.
        """
        found = measured.estimate, measured.low, measured.high, measured.confidence
        kept = Kept(lesson, what, predicted, *found)
        name = hashlib.sha256(f"{lesson} {what}".encode()).hexdigest()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_once(self.folder / f"{name}.json", json.dumps(asdict(kept)))
        except OSError as error:
            return homes.not_kept(self.folder, error)
        return ""

    def all(self) -> list[Kept]:
        """Every prediction, lesson by lesson; what is no prediction is passed over."""
        found = []
        for path in self.folder.glob("*.json") if self.folder.is_dir() else ():
            with contextlib.suppress(ValueError, OSError):
                found.append(_KEPT.validate_json(path.read_bytes()))
        return sorted(found, key=lambda kept: (kept.lesson, kept.what))


def _write_once(path: Path, text: str) -> None:
    """Write a file as a whole, unless there is one."""
    draft = path.with_name(f".{secrets.token_hex(6)}")
    try:
        draft.write_text(text, encoding="utf-8")
        try:
            _link(draft, path, text)
        except FileExistsError:
            if not path.stat().st_size:  # what a full disk left of an earlier one
                draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path, text: str) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # homes on SMB, exFAT or FUSE refuse links
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except BaseException:  # a full disk: half a file would count as kept for ever
                path.unlink()
                raise


def calibration(kept: list[Kept]) -> str:
    """How good they are, in a sentence; counts, so that nothing is estimated."""
    if not kept:
        return "No prediction has been measured yet."
    good = sum(each.good for each in kept)
    more = sum(each.measured > each.predicted for each in kept if not each.good)
    less = sum(each.measured < each.predicted for each in kept if not each.good)
    said = f"{good} of {len(kept)} predictions good"
    if good == len(kept):
        return f"{said}."
    return f"{said}; {more} times it was more than predicted, {less} times less."
