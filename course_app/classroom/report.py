"""What an instructor takes away: tables, grades.json, a page per learner, one for the class."""

import json
import statistics
from collections import Counter
from dataclasses import dataclass
from dataclasses import field as with_default
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from course_app.authoring.templating import templates
from course_app.classroom.gradebook import Gradebook
from course_app.classroom.ledger import Grade, Status
from course_app.classroom.tables import totals, write_tables
from course_app.grading import CriterionResult, Outcome
from course_app.grading.render import marked, scorecard_html

TEMPLATES = Path(__file__).parent / "templates"
#: Bars of the distribution: tenths of an exercise's points.
_BARS = 10


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
    """The grades of a class, by learner and by exercise, and what they are worth."""

    grades: tuple[Grade, ...]
    book: Gradebook = with_default(default_factory=Gradebook)

    @property
    def learners(self) -> dict[str, list[Grade]]:
        """Each learner's grades, by the key that names their page."""
        found: dict[str, list[Grade]] = {}
        for grade in self.grades:
            found.setdefault(grade.key, []).append(grade)
        return found

    def total(self, grades: list[Grade]) -> tuple[float, float]:
        """A learner's points over all exercises, and what these are worth."""
        return totals(grades, self.book)

    def average(self, exercise: str) -> str:
        """Mean and median of those who have points, in words."""
        shares = self._shares(exercise)
        if not shares:
            return "Nobody has points yet."
        worth = max(self.book.possible(g) for g in self.grades if g.exercise == exercise)
        mean, median = (f(shares) * worth for f in (statistics.fmean, statistics.median))
        return f"Of {len(shares)}: mean {mean:.1f}, median {median:.1f} of {worth:g} points."

    def distribution(self, exercise: str) -> list[tuple[str, int]]:
        """How many learners have which share of the points, in tenths; all is the last one."""
        counted = Counter(min(int(share * _BARS + 1e-9), _BARS) for share in self._shares(exercise))
        names = [str(100 * bar // _BARS) for bar in range(_BARS + 1)]
        return [(name, counted[bar]) for bar, name in enumerate(names)]

    def reason(self, grade: Grade) -> str:
        """Why somebody has no points at all; empty for everybody else."""
        if self.book.points(grade) != 0:
            return ""
        if told := self.book.remark(grade):
            return told
        if grade.status is Status.NOT_ATTEMPTED:
            return "Nothing was written yet."
        first = next(iter(grade.card.failures()), None) if grade.card else None
        return f"{first.summary} {first.observed[:200]}".strip() if first else ""

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

    def _shares(self, exercise: str) -> list[float]:
        return [
            points / possible
            for grade in self.grades
            if grade.exercise == exercise
            and (points := self.book.points(grade)) is not None
            and (possible := self.book.possible(grade))
        ]

    def _results(self, exercise: str) -> list[CriterionResult]:
        cards = [g.card for g in self.grades if g.exercise == exercise and g.card is not None]
        attempted = [card for card in cards if card.outcome is not Outcome.NOT_ATTEMPTED]
        return [result for card in attempted for result in card.results]


def _side(outcome: Outcome) -> str:
    if outcome in (Outcome.PASSED, Outcome.FAILED):
        return str(outcome)
    return "not run" if outcome is Outcome.NOT_RUN else "open"


def write_class(report: ClassReport, folder: Path) -> Path:
    """Write everything into ``folder``; returns the page of the class."""
    pages = folder / "learners"
    pages.mkdir(parents=True, exist_ok=True)
    data = {"grades": [_as_dict(grade, report.book) for grade in report.grades]}
    text = json.dumps(data, indent=1, ensure_ascii=False)
    (folder / "grades.json").write_text(f"{text}\n", encoding="utf-8")
    write_tables(report.grades, report.book, folder)
    filled = environment()
    for key, grades in report.learners.items():
        page = filled.get_template("learner.html").render(report=report, grades=grades)
        (pages / f"{key}.html").write_text(page, encoding="utf-8")
    index = folder / "index.html"
    index.write_text(filled.get_template("class.html").render(report=report), encoding="utf-8")
    return index


def _as_dict(grade: Grade, book: Gradebook) -> dict[str, Any]:
    worth = {"course_points": book.points(grade), "course_possible": book.possible(grade)}
    return {**grade.to_dict(), **worth, "override": book.remark(grade)}


def environment() -> Environment:
    """The templates of a class's pages and of reports."""
    environment = templates(TEMPLATES)
    environment.filters["scorecard"] = _card
    environment.filters["code"] = lambda text: Markup(marked(text))
    return environment


def _card(grade: Grade) -> Any:
    return Markup(scorecard_html(grade.card)) if grade.card else grade.problem
