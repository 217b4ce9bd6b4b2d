"""What has been graded already: one JSON file per learner and exercise, replaced in one step.

A grading that is stopped goes on where it was; an answer that has not changed is not graded again.
"""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from course_app.classroom.collect import Submission
from course_app.grading import Outcome, Scorecard
from course_app.system.files import replace_file


class Status(StrEnum):
    """What a grade is worth; only ``graded`` is a number that counts."""

    GRADED = "graded"
    NOT_ATTEMPTED = "not attempted"
    CANNOT_TELL = "cannot tell"
    COULD_NOT_CHECK = "could not check"


_STATUSES = {
    Outcome.NOT_ATTEMPTED: Status.NOT_ATTEMPTED,
    Outcome.CANNOT_TELL: Status.CANNOT_TELL,
    Outcome.COULD_NOT_CHECK: Status.COULD_NOT_CHECK,
}


@dataclass(frozen=True)
class Grade:
    """One learner's result in one exercise.

    Attributes:
        digest: of the file that was graded.
        id: the number by which Moodle or Canvas know the learner.
        card: the scorecard; None if there was nothing to check, and then ``problem`` says why.
        twins: who else handed in the same code; for the instructor, never for the learner.
    """

    learner: str
    exercise: str
    key: str
    digest: str
    card: Scorecard | None
    problem: str = ""
    note: str = ""
    id: str = ""
    twins: str = ""

    @property
    def status(self) -> Status:
        """Whether it is final, and if not, why not."""
        if self.card is None:
            return Status.COULD_NOT_CHECK
        if self.card.open_points and self.card.outcome is not Outcome.COULD_NOT_CHECK:
            return Status.CANNOT_TELL
        return _STATUSES.get(self.card.outcome, Status.GRADED)

    @property
    def points(self) -> float | None:
        """Points earned; None where there is no grade, which is not the same as zero."""
        final = self.status in (Status.GRADED, Status.NOT_ATTEMPTED)
        return self.card.points if self.card is not None and final else None

    def to_dict(self) -> dict[str, Any]:
        """For grades.json and for the ledger."""
        return {
            "learner": self.learner,
            "id": self.id,
            "exercise": self.exercise,
            "key": self.key,
            "digest": self.digest,
            "status": str(self.status),
            "points": self.points,
            "possible": self.card.possible if self.card else None,
            "problem": self.problem,
            "note": self.note,
            "twins": self.twins,
            "card": self.card.to_dict() if self.card else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Grade":
        """Raises KeyError, TypeError or ValueError if the data is not a grade's."""
        card = Scorecard.from_dict(data["card"]) if data["card"] else None
        names = ("learner", "exercise", "key", "digest", "problem", "note", "id")
        return cls(**{name: str(data[name]) for name in names}, card=card)


class Ledger:
    """The results in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "results"
        self.folder.mkdir(parents=True, exist_ok=True)

    def seed(self, wanted: int | None = None) -> int:
        """The seed of this grading: the wanted one, else the last one, else a new one.

        It is kept with the results, where no answer that is graded can read it. A seed that could
        be foreseen would tell the requests.
        """
        path = self.folder / "seed"
        if wanted is None:
            with suppress(OSError, ValueError):
                return int(path.read_text(encoding="utf-8"))
        seed = secrets.randbits(64) if wanted is None else wanted
        path.touch(mode=0o600)
        path.write_text(f"{seed}\n", encoding="utf-8")
        return seed

    def find(self, submission: Submission) -> Grade | None:
        """The grade of this very answer, if it is final or as final as it gets.

        Its note is the submission's: what lies beside an answer may have changed since.
        """
        try:
            data = json.loads(self._path(submission).read_text(encoding="utf-8"))
            grade = Grade.from_dict(data)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        same = grade.digest == submission.digest and grade.learner == submission.learner
        given_up = grade.card is None and submission.path is None
        settled = grade.status in (Status.GRADED, Status.NOT_ATTEMPTED) or given_up
        return replace(grade, note=submission.note) if same and settled else None

    def keep(self, submission: Submission, grade: Grade) -> None:
        """Write a grade; it is there as a whole or not at all."""
        text = json.dumps(grade.to_dict(), indent=1, ensure_ascii=False)
        replace_file(self._path(submission), text)

    def _path(self, submission: Submission) -> Path:
        return self.folder / f"{submission.key}.{submission.exercise}.json"


def grade_of(submission: Submission, card: Scorecard | None = None) -> Grade:
    """What a scorecard is worth; without one the submission's problem says why there is none."""
    return Grade(
        learner=submission.learner,
        exercise=submission.exercise,
        key=submission.key,
        digest=submission.digest,
        card=card,
        problem=submission.problem,
        note=submission.note,
        id=submission.id,
    )
