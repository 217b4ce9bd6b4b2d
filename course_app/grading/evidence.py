"""What a criterion can say: evidence, a named failure, or that it cannot decide.

A failure is a class of its own for each way to go wrong, because each needs another hint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from course_app.errors import CourseError

Number = float | int | str | bool | None


class Kind(StrEnum):
    """The four kinds of criteria, in the order in which they are checked."""

    CONTRACT = "contract"
    MECHANISM = "mechanism"
    SPEED = "speed"
    HYGIENE = "hygiene"


class Outcome(StrEnum):
    """What came of a criterion, or of a whole check.

    ``NOT_RUN`` is for single criteria only: an earlier one has to pass first.
    """

    PASSED = "passed"
    FAILED = "failed"
    NOT_ATTEMPTED = "not attempted"
    CANNOT_TELL = "cannot tell"
    COULD_NOT_CHECK = "could not check"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Evidence:
    """Why a criterion passed: what was observed, beside what was wanted.

    ``numbers`` holds the same for programs, with units in the names.
    """

    observed: str
    wanted: str
    numbers: Mapping[str, Number] = field(default_factory=dict)


class _Finding(Exception):
    """Evidence that is raised instead of returned."""

    def __init__(
        self, observed: str, wanted: str, *, numbers: Mapping[str, Number] | None = None
    ) -> None:
        super().__init__(observed)
        self.observed = observed
        self.wanted = wanted
        self.numbers = dict(numbers or {})


class Failure(_Finding):
    """One way to go wrong. A subclass's docstring says which, in a sentence for the learner.

    ``hint`` (a class attribute) helps with this kind of failure, without giving the answer
    away. ``credit`` is the share of the criterion's points that are earned in spite of it.
    After a ``fatal`` failure (nothing answers any more) no other criterion is tried.
    """

    hint: ClassVar[str] = ""
    fatal: ClassVar[bool] = False

    def __init__(
        self,
        observed: str,
        wanted: str,
        *,
        credit: float = 0.0,
        numbers: Mapping[str, Number] | None = None,
    ) -> None:
        super().__init__(observed, wanted, numbers=numbers)
        self.credit = credit

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return first_line(cls.__dict__.get("__doc__"))


class CannotTell(_Finding):
    """The measurement is too noisy for a verdict. Neither passed nor failed."""


class NotAttempted(Exception):
    """There is no answer yet."""


class CouldNotCheck(CourseError):
    """The check itself broke down (services gone, port lost): never the learner's fault."""


def first_line(text: str | None) -> str:
    """The first line of a docstring; empty where there is none."""
    lines = (text or "").strip().splitlines()
    return lines[0].strip() if lines else ""
