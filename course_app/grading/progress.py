"""What a learner has done so far: one small JSON file per exercise in the user's state folder.

One file each, so that a damaged one costs no other. Writers take turns through a lock and replace
files in one step, so two notebooks at once lose nothing.
"""

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from course_app.grading.evidence import Kind, Outcome
from course_app.grading.scorecard import Scorecard
from course_app.system import homes
from course_app.system.files import replace_file

#: Enough for a learner to see a trend; more would only make the file slow to read.
MOST_ATTEMPTS = 200


@dataclass(frozen=True)
class Attempt:
    """One check, in short.

    Attributes:
        right: whether every contract was kept; without that no number counts.
        numbers: what was measured and counted, as the criteria name it.
    """

    at: str
    outcome: str
    points: float
    right: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, card: Scorecard) -> "Attempt":
        """A scorecard in short."""
        contract = [result for result in card.results if result.kind is Kind.CONTRACT]
        return cls(
            at=card.started_at,
            outcome=str(card.outcome),
            points=card.points,
            right=all(result.outcome is Outcome.PASSED for result in contract),
            numbers={
                name: float(value)
                for result in card.results
                for name, value in result.numbers.items()
                if isinstance(value, int | float)
            },
        )


@dataclass(frozen=True)
class Standing:
    """Where the learner stands in one exercise."""

    exercise: str
    attempts: tuple[Attempt, ...] = ()
    best_points: float = 0.0
    possible: float = 0.0
    passed: bool = False
    hints_shown: int = 0
    solution_shown: bool = False
    last: Mapping[str, Any] | None = None

    @property
    def tried(self) -> bool:
        """Whether a check came to a verdict; a hint or a look at the solution is no attempt."""
        return bool(self.attempts)

    @property
    def state(self) -> str:
        """``passed``, ``open`` or ``not tried``, and whether the solution was looked at."""
        state = "passed" if self.passed else "open" if self.tried else "not tried"
        return f"{state}, solution seen" if self.solution_shown else state

    def after(self, card: Scorecard) -> "Standing":
        """With one more attempt."""
        return replace(
            self,
            attempts=(*self.attempts, Attempt.of(card))[-MOST_ATTEMPTS:],
            best_points=max(self.best_points, card.points),
            possible=card.possible,
            passed=self.passed or card.passed,
            last=card.to_dict(),
        )

    def last_card(self) -> Scorecard | None:
        """The scorecard of the last check."""
        return Scorecard.from_dict(self.last) if self.last else None


_STANDING = TypeAdapter(Standing)


class ProgressStore:
    """Reads and writes standings. ``messages`` collects what the reader should know.

    Args:
        folder: where the files lie; the user's state folder of the course if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_folder()
        self.messages: list[str] = []

    def standing(self, exercise: str) -> Standing:
        """Where the learner stands; a damaged file is set aside and a new one begun."""
        path = self._path(exercise)
        try:
            return _parse(path.read_text(encoding="utf-8"), exercise)
        except FileNotFoundError:
            return Standing(exercise)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._set_aside(path)
            return Standing(exercise)

    def all(self) -> list[Standing]:
        """Every exercise that was tried or looked into, in order."""
        paths = sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []
        return [self.standing(path.stem) for path in paths]

    def update(self, exercise: str, change: Callable[[Standing], Standing]) -> Standing:
        """Read, change and write in one step, whoever else writes."""
        with self._lock():
            standing = change(self.standing(exercise))
            replace_file(self._path(exercise), json.dumps(asdict(standing), indent=1))
        return standing

    def record(self, card: Scorecard) -> Standing:
        """Add a check that reached a verdict; an attempt we could not check is not one."""
        return self.update(card.exercise, lambda standing: standing.after(card))

    def reset(self, exercise: str) -> bool:
        """Forget one exercise. False if there was nothing to forget."""
        with self._lock():
            existed = self._path(exercise).exists()
            self._path(exercise).unlink(missing_ok=True)
        return existed

    def _path(self, exercise: str) -> Path:
        return self.folder / f"{Path(exercise).name}.json"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(f"{path.stem}.damaged-{time.time_ns()}")
        with contextlib.suppress(FileNotFoundError):  # another notebook was faster
            path.rename(aside)
            self.messages.append(
                f"The progress file of {path.stem} was damaged. It is kept as {aside}; "
                "this exercise starts anew, all others are as they were."
            )


def state_folder() -> Path:
    """The folder of the learner's progress; it survives new versions and new clones."""
    return homes.state_folder() / "progress"


def _parse(text: str, exercise: str) -> Standing:
    standing = replace(_STANDING.validate_json(text), exercise=exercise)
    standing.last_card()
    return standing
