"""Answers that hold the same code, remarked on without a penalty: somebody may have copied."""

from collections.abc import Sequence
from dataclasses import replace

from course_app.classroom.ledger import Grade, Status


def with_twins(grades: Sequence[Grade]) -> list[Grade]:
    """The grades; those whose code is another learner's too say so to the instructor."""
    twins: dict[tuple[str, str], list[str]] = {}
    for grade in grades:
        if key := _key(grade):
            twins.setdefault(key, []).append(grade.learner)
    return [_noted(grade, twins.get(_key(grade) or ("", ""), [])) for grade in grades]


def _key(grade: Grade) -> tuple[str, str] | None:
    if grade.status is not Status.GRADED or grade.card is None or not grade.card.fingerprint:
        return None
    return grade.exercise, grade.card.fingerprint


def _noted(grade: Grade, learners: Sequence[str]) -> Grade:
    others = sorted(set(learners) - {grade.learner})
    if not others:
        return grade
    told = f"The same code as {', '.join(others)} handed in, but for comments and spaces."
    return replace(grade, twins=told)
