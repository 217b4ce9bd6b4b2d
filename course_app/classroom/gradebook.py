"""What a grade is worth in the instructor's records: weights, late days, points given by hand.

Nothing here changes what was checked; a page shows both, and the comment that explains it.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from course_app.classroom.ledger import Grade
from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.contents import Course

COLUMNS = ("learner", "exercise", "points", "late_days", "comment")


@dataclass(frozen=True)
class Override:
    """One line of overrides.csv.

    Attributes:
        learner: a name, or the number by which Moodle or Canvas know the learner.
        exercise: a slug.
        points: given by hand, in the course's points; None leaves those that were earned.
        late_days: each takes the course's share of the exercise's points away.
    """

    learner: str
    exercise: str
    points: float | None = None
    late_days: float = 0.0
    comment: str = ""

    def is_for(self, grade: Grade) -> bool:
        """Whether this grade is meant."""
        known = {grade.learner, grade.id} - {""}
        return self.exercise == grade.exercise and self.learner in known


@dataclass(frozen=True)
class Gradebook:
    """How grades become points in the course.

    Args:
        weights: points of each exercise by its slug; its rubric's own if it is not named.
        late_percent: of an exercise's points, what a day late takes away.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    late_percent: float = 0.0
    overrides: tuple[Override, ...] = ()

    def possible(self, grade: Grade) -> float:
        """What the exercise is worth."""
        own = grade.card.possible if grade.card else 0.0
        return float(self.weights.get(grade.exercise, own))

    def points(self, grade: Grade) -> float | None:
        """Points in the course; None where there is no grade, which is not the same as zero."""
        possible, override = self.possible(grade), self.override(grade)
        points = grade.points
        if points is not None and grade.card is not None and grade.card.possible:
            points = points / grade.card.possible * possible
        if override is not None and override.points is not None:
            points = override.points
        if points is None or override is None:
            return points
        late = override.late_days * self.late_percent / 100 * possible
        return max(points - late, 0.0)

    def override(self, grade: Grade) -> Override | None:
        """The last line that is about this grade."""
        return next((each for each in reversed(self.overrides) if each.is_for(grade)), None)

    def remark(self, grade: Grade) -> str:
        """What was changed by hand, in words; empty if nothing was."""
        override = self.override(grade)
        if override is None:
            return ""
        told = []
        if override.points is not None:
            told.append(f"{override.points:g} points given by the instructor")
        if override.late_days:
            percent = override.late_days * self.late_percent
            told.append(f"{override.late_days:g} days late: {percent:g} % less")
        return ". ".join(filter(None, ["; ".join(told), override.comment]))


def gradebook_of(course: "Course", overrides: Path | None) -> Gradebook:
    """The weights and the late days of course.toml, and what stands in overrides.csv.

    Raises:
        CourseError: the file is missing, or a line of it cannot be understood.
    """
    weights = {lesson.slug: float(lesson.points) for lesson in course.lessons if lesson.points}
    numbers = {lesson.number: lesson.slug for lesson in course.lessons}
    read = () if overrides is None else read_overrides(overrides, {**numbers, **_same(weights)})
    return Gradebook(weights, course.late_percent, read)


def _same(weights: Mapping[str, float]) -> dict[str, str]:
    return {slug: slug for slug in weights}


def read_overrides(path: Path, exercises: Mapping[str, str]) -> tuple[Override, ...]:
    """The lines of the file, in order.

    Args:
        exercises: slugs by what an exercise may be called: its number or its slug.

    Raises:
        CourseError: the file is missing, or a line of it cannot be understood.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read: {error}. Save it as CSV in UTF-8.") from error
    rows = csv.DictReader(text.splitlines())
    if missing := [name for name in COLUMNS[:2] if name not in (rows.fieldnames or ())]:
        raise CourseError(
            f"{path} has no column {missing[0]}. Its first line names columns: {','.join(COLUMNS)}."
        )
    return tuple(_override(row, f"{path}, line {rows.line_num}", exercises) for row in rows)


def _override(row: Mapping[str, str | None], where: str, exercises: Mapping[str, str]) -> Override:
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    slug = exercises.get(cells["exercise"].zfill(2)) or exercises.get(cells["exercise"])
    if slug is None:
        raise CourseError(f"{where}: there is no exercise {cells['exercise']!r}; write 04, say.")
    try:
        points = float(cells["points"]) if cells["points"] else None
        late_days = float(cells["late_days"] or 0)
        if not (math.isfinite(points or 0) and math.isfinite(late_days)):
            raise ValueError
    except ValueError:
        raise CourseError(f"{where}: points and late_days are numbers, or empty.") from None
    if (points or 0) < 0 or late_days < 0:
        raise CourseError(f"{where}: points and late_days cannot be negative.")
    return Override(cells["learner"], slug, points, late_days, cells["comment"])
