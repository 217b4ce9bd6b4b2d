"""What an instructor takes away: grades.csv, grades.json, a page per learner, one for the class."""

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from course_app.authoring.templating import templates
from course_app.classroom.ledger import Grade, Status
from course_app.grading import CriterionResult, Outcome
from course_app.grading.render import scorecard_html

#: A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class CriterionStats:
    """How a class did in one criterion: how many passed, failed, and remained open."""

    title: str
    passed: int
    failed: int
    open: int

    @property
    def total(self) -> int:
        """All that were checked."""
        return self.passed + self.failed + self.open

    @property
    def share(self) -> float:
        """Of those that passed, in percent."""
        return 100 * self.passed / self.total if self.total else 0.0


@dataclass(frozen=True)
class ClassReport:
    """The grades of a class, by learner and by exercise."""

    grades: tuple[Grade, ...]

    @property
    def learners(self) -> dict[str, list[Grade]]:
        """Each learner's grades."""
        found: dict[str, list[Grade]] = {}
        for grade in self.grades:
            found.setdefault(grade.learner, []).append(grade)
        return found

    @property
    def exercises(self) -> list[str]:
        """The exercises that anybody handed in, in order."""
        return sorted({grade.exercise for grade in self.grades})

    @property
    def statuses(self) -> dict[str, int]:
        """How many submissions ended in which way."""
        counted = Counter(str(grade.status) for grade in self.grades)
        return {str(status): counted[str(status)] for status in Status if counted[str(status)]}

    def criteria(self, exercise: str) -> list[CriterionStats]:
        """Per criterion how the class did."""
        by_title: dict[str, Counter[str]] = {}
        for result in self._results(exercise):
            counter = by_title.setdefault(result.title, Counter())
            counter[_side(result.outcome)] += 1
        return [
            CriterionStats(title, count["passed"], count["failed"], count["open"])
            for title, count in by_title.items()
        ]

    def failures(self, exercise: str) -> list[tuple[int, str, str]]:
        """The commonest failures: how often, what, and the hint; the commonest first."""
        counted = Counter(
            (result.summary, result.hint)
            for result in self._results(exercise)
            if result.outcome is Outcome.FAILED
        )
        return [(number, summary, hint) for (summary, hint), number in counted.most_common(8)]

    def _results(self, exercise: str) -> list[CriterionResult]:
        cards = [g.card for g in self.grades if g.exercise == exercise and g.card is not None]
        attempted = [card for card in cards if card.outcome is not Outcome.NOT_ATTEMPTED]
        return [result for card in attempted for result in card.results]


def _side(outcome: Outcome) -> str:
    return str(outcome) if outcome in (Outcome.PASSED, Outcome.FAILED) else "open"


def write_class(report: ClassReport, folder: Path) -> Path:
    """Write everything into ``folder``; returns the page of the class."""
    pages = folder / "learners"
    pages.mkdir(parents=True, exist_ok=True)
    data = {"grades": [grade.to_dict() for grade in report.grades]}
    text = json.dumps(data, indent=1, ensure_ascii=False)
    (folder / "grades.json").write_text(f"{text}\n", encoding="utf-8")
    _write_csv(report, folder / "grades.csv")
    filled = environment()
    for learner, grades in report.learners.items():
        page = filled.get_template("learner.html").render(learner=learner, grades=grades)
        (pages / f"{grades[0].key}.html").write_text(page, encoding="utf-8")
    index = folder / "index.html"
    index.write_text(filled.get_template("class.html").render(report=report), encoding="utf-8")
    return index


def _write_csv(report: ClassReport, path: Path) -> None:
    """A row per learner and exercise; points are empty where there is no grade."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["learner", "exercise", "status", "points", "possible", "remark"])
        for grade in report.grades:
            points = "" if grade.points is None else f"{grade.points:g}"
            possible = f"{grade.card.possible:g}" if grade.card else ""
            row = (grade.learner, grade.exercise, grade.status, points, possible, _remark(grade))
            writer.writerow([harmless(str(cell)) for cell in row])


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, and that stays in its row."""
    cell = " ".join(cell.split())
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _remark(grade: Grade) -> str:
    first = next(iter(grade.card.failures()), None) if grade.card else None
    return grade.problem or (first.summary if first else "") or grade.note


def environment() -> Environment:
    """The templates of a class's pages and of reports."""
    environment = templates(TEMPLATES)
    environment.filters["scorecard"] = _card
    return environment


def _card(grade: Grade) -> Any:
    return Markup(scorecard_html(grade.card)) if grade.card else grade.problem
