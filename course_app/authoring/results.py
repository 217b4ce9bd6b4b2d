"""One run's verdicts as a file that other machines' can be laid beside: results.json.

The format has a version. Nothing in it names a person, a host or a folder: the machine is its
cores, its processor and its programs' versions.
"""

from codecs import BOM_UTF8
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from course_app.authoring.report import LessonEntry, Report
from course_app.errors import CourseError
from course_app.measure import pace
from course_app.system import platforms
from course_app.system.files import replace_file

RESULTS_FILE = "results.json"
#: Raised whenever a reader of the last version would misread a file.
VERSION: Literal[1] = 1
#: All lessons' results take some 60 kB.
MOST_BYTES = 2_000_000

Text = Annotated[str, Field(max_length=2000)]
Word = Annotated[str, Field(max_length=100)]
Slug = Annotated[str, Field(pattern=r"^\d\d_[a-z0-9_]+$", max_length=50)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Record):
    """What was measured on. Two runs with equal cards ran in the same conditions but for noise."""

    cores: Annotated[float, Field(gt=0, lt=10_000)]
    memory_gib: Annotated[int, Field(ge=0)]
    system: Word
    processor: Word
    python: Word
    fastapi: Word
    uvicorn: Word
    postgres: Word
    valkey: Word

    def __str__(self) -> str:
        return f"{self.cores:g} cores, {self.processor}, Python {self.python}"

    @property
    def order(self) -> tuple[float, str, tuple[int, ...]]:
        """By cores, processor, Python."""
        numbers = [int(part) for part in self.python.split(".") if part.isdecimal()]
        return self.cores, self.processor, tuple(numbers)


class Noise(_Record):
    """What else went on from a lesson's start to its verdict; cores are None if nobody knows."""

    badge: Literal["calm", "busy", "very busy", "not known"]
    others_cores: FiniteFloat | None


class LessonResult(_Record):
    """One lesson of the run, and the day on which it ended."""

    slug: Slug
    passed: bool
    seconds: FiniteFloat
    finished: date


class ConditionResult(_Record):
    """A sentence that a verdict rests on; ``held`` is None where the machine could not tell."""

    text: Text
    held: bool | None


class ClaimResult(_Record):
    """A verdict. ``number`` is for readers; estimate and interval are None if it is no factor."""

    id: Annotated[str, Field(pattern=r"^[TP]?[1-9]\d*$", max_length=5)]
    lesson: Slug
    verdict: Literal[
        "holds", "holds when", "outdated", "wrong", "cannot tell", "not confirmed here"
    ]
    because: Text
    number: Text
    estimate: Annotated[FiniteFloat, Field(gt=0)] | None
    low: Annotated[FiniteFloat, Field(gt=0)] | None
    high: Annotated[FiniteFloat, Field(gt=0)] | None
    conditions: tuple[ConditionResult, ...]
    noise: Noise | None


class Results(_Record):
    """All that results.json says."""

    format: Literal["fastapi-performance-course/results"] = "fastapi-performance-course/results"
    version: Literal[1] = VERSION
    pace: Literal["full", "quick"]
    machine: Machine
    lessons: tuple[LessonResult, ...]
    claims: tuple[ClaimResult, ...]

    def with_lessons_of(self, earlier: "Results") -> "Results":
        """These results, and the earlier ones of lessons that this run left out.

        Raises:
            CourseError: the earlier ones come from another machine, or in another pace.
        """
        if (earlier.machine, earlier.pace) != (self.machine, self.pace):
            raise CourseError(
                f"The results that were to be kept come from another machine or pace "
                f"({earlier.machine}, {earlier.pace} pace). Run all lessons again without --keep."
            )
        mine = {lesson.slug for lesson in self.lessons}
        lessons = (*self.lessons, *(x for x in earlier.lessons if x.slug not in mine))
        claims = (*self.claims, *(x for x in earlier.claims if x.lesson not in mine))
        return self.model_copy(
            update={
                "lessons": tuple(sorted(lessons, key=lambda lesson: lesson.slug)),
                "claims": tuple(sorted(claims, key=lambda claim: claim.lesson)),
            }
        )

    def save(self, path: Path) -> Path:
        """Write the file."""
        return replace_file(path, self.model_dump_json(indent=1) + "\n")


def results_of(report: Report) -> Results | None:
    """What a run found; None if no lesson came as far as its machine's card."""
    card = report.machine
    if not card:
        return None
    known = {key: str(card[key]) for key in Machine.model_fields if key in card}
    return Results(
        pace=pace.name(),
        machine=Machine.model_validate(
            {
                **known,
                "memory_gib": round(card["memory_gib"]),
                "processor": platforms.processor() or "not known",
            }
        ),
        lessons=tuple(_lesson(entry, report.finished.date()) for entry in report.entries),
        claims=tuple(claim for entry in report.entries for claim in _claims(entry)),
    )


def read_results(path: Path) -> Results:
    """Read a file that anybody may have written.

    Raises:
        CourseError: it holds no results of this version; one sentence says why.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CourseError(f"{path.name} is too large for results of this course.")
        return Results.model_validate_json(path.read_bytes().removeprefix(BOM_UTF8))
    except OSError as error:
        raise CourseError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CourseError(
            f"{path.name} holds no results of `course run` in version {VERSION} "
            f"({place}: {first['msg']}). Ask for the file {RESULTS_FILE} of a new run."
        ) from error


def _lesson(entry: LessonEntry, finished: date) -> LessonResult:
    return LessonResult(
        slug=entry.slug,
        passed=entry.run.failure is None,
        seconds=round(entry.run.seconds, 1),
        finished=finished,
    )


def _claims(entry: LessonEntry) -> list[ClaimResult]:
    return [
        ClaimResult.model_validate(
            {
                "id": verdict.claim,
                "lesson": entry.slug,
                "verdict": verdict.verdict,
                "because": verdict.because,
                "number": verdict.number,
                **dict(
                    zip(("estimate", "low", "high"), verdict.factor or (None,) * 3, strict=True)
                ),
                "conditions": [{"text": c.text, "held": c.held} for c in verdict.conditions],
                "noise": _noise(verdict.noise),
            }
        )
        for verdict in entry.findings.verdicts
    ]


def _noise(noise: object) -> Noise | None:
    if not isinstance(noise, dict):
        return None
    others = noise.get("others_cores")
    return Noise(badge=noise["badge"], others_cores=None if others is None else round(others, 3))
