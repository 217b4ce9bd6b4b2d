"""What the lessons of a run found, gathered by claim: what the report's pages show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from course_app.authoring.contents import Claim, Course, read_claims
from course_app.authoring.execute import CellFailed
from course_app.authoring.findings import NOT_MEASURED, Findings, Verdict
from course_app.authoring.run import LessonRun
from course_app.measure.claim import CANNOT_TELL, NOT_CONFIRMED, VERDICTS

#: The order in which verdicts are counted.
_VERDICTS = (*VERDICTS, NOT_CONFIRMED, CANNOT_TELL, NOT_MEASURED)

_KINDS = {"T": "Its tips", "P": "Its pitfalls"}

#: What the machine card's keys are called; others are shown as they are.
_FACTS = {
    "cores": "Cores",
    "memory_gib": "Memory, GiB",
    "system": "System",
    "python": "Python",
    "fastapi": "FastAPI",
    "uvicorn": "uvicorn",
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
    "noise": "The machine was",
    "others_cores": "Cores used by others",
}


@dataclass(frozen=True)
class ClaimRow:
    """A claim and this run's verdicts on it, each with the slug of the lesson that gave it."""

    claim: Claim
    verdicts: tuple[tuple[str, Verdict], ...]

    @property
    def kind(self) -> str:
        """The heading under which it stands."""
        return _KINDS.get(self.claim.id[0], "Its claims")

    @property
    def verdict(self) -> str:
        """The last verdict's word."""
        return self.verdicts[-1][1].verdict if self.verdicts else NOT_MEASURED


@dataclass(frozen=True)
class LessonEntry:
    """A lesson in the report."""

    run: LessonRun
    findings: Findings

    @property
    def slug(self) -> str:
        """Names the lesson's page."""
        return self.run.lesson.slug

    @property
    def failed_cell(self) -> CellFailed | None:
        """The cell at which it stopped."""
        return self.run.failure if isinstance(self.run.failure, CellFailed) else None


@dataclass(frozen=True)
class Report:
    """All that the pages show."""

    course: Course
    finished: datetime
    entries: tuple[LessonEntry, ...]
    rows: tuple[ClaimRow, ...]

    @property
    def machine(self) -> Mapping[str, Any]:
        """The first machine card of the run; empty if no lesson came that far."""
        cards = (entry.findings.machine for entry in self.entries)
        return next((card for card in cards if card), {})

    @property
    def facts(self) -> dict[str, str]:
        """The machine card in words."""
        return {
            _FACTS.get(key, key): f"{value:.1f}" if isinstance(value, float) else str(value)
            for key, value in self.machine.items()
        }

    @property
    def seconds(self) -> float:
        """The wall time of all lessons."""
        return sum(entry.run.seconds for entry in self.entries)

    @property
    def counts(self) -> dict[str, int]:
        """How many claims got which verdict, without those that none got."""
        given = Counter(row.verdict for row in self.rows)
        return {verdict: given[verdict] for verdict in _VERDICTS if given[verdict]}

    @property
    def groups(self) -> dict[str, list[ClaimRow]]:
        """The rows with verdicts under their headings, in the order of the claims' file."""
        grouped: dict[str, list[ClaimRow]] = {}
        for row in self.rows:
            if row.verdicts:
                grouped.setdefault(row.kind, []).append(row)
        return grouped

    @property
    def untested(self) -> list[ClaimRow]:
        """The claims on which no lesson of this run gave a verdict."""
        return [row for row in self.rows if not row.verdicts]

    def to_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "course": self.course.title,
            "finished": self.finished.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 1),
            "machine": dict(self.machine),
            "lessons": [_lesson_dict(entry.run) for entry in self.entries],
            "claims": [_claim_dict(row) for row in self.rows],
        }


def make_report(course: Course, runs: Sequence[LessonRun]) -> Report:
    """Gather what the lessons found.

    Raises:
        CourseError: the claims' file has a mistake.
    """
    entries = tuple(LessonEntry(run, run.findings) for run in runs)
    rows = tuple(ClaimRow(claim, _verdicts(claim, entries)) for claim in read_claims(course))
    return Report(course, datetime.now().astimezone(), entries, rows)


def _verdicts(claim: Claim, entries: Sequence[LessonEntry]) -> tuple[tuple[str, Verdict], ...]:
    return tuple(
        (entry.slug, verdict)
        for entry in entries
        for verdict in entry.findings.verdicts
        if verdict.claim == claim.id
    )


def _lesson_dict(run: LessonRun) -> dict[str, Any]:
    return {
        "slug": run.lesson.slug,
        "title": run.lesson.title,
        "passed": run.failure is None,
        "seconds": round(run.seconds, 1),
        "error": str(run.failure) if run.failure else None,
    }


def _claim_dict(row: ClaimRow) -> dict[str, Any]:
    return {
        "id": row.claim.id,
        "says": row.claim.says,
        "lesson": row.claim.lesson,
        "verdict": row.verdict,
        "verdicts": [{"lesson": slug, **asdict(verdict)} for slug, verdict in row.verdicts],
    }
