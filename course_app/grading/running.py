"""Runs the criteria of a rubric one after another and turns what they raise into results."""

import contextlib
import time
from dataclasses import replace

from course_app.errors import CourseError
from course_app.grading.evidence import (
    CannotTell,
    CouldNotCheck,
    Evidence,
    Failure,
    Kind,
    NotAttempted,
    Outcome,
)
from course_app.grading.exam import Exam
from course_app.grading.failures import NEVER_RAN, BlocksValkey, UnexpectedAnswer
from course_app.grading.harmless import harmless
from course_app.grading.remote import ProcessCandidate
from course_app.grading.rubric import Criterion, Exercise
from course_app.grading.scorecard import CriterionResult

_CONTRACT_FIRST = "Not run: contract first. The answers have to be right before the rest counts."
_FAILED_BEFORE = "Not run: only the first failure was asked for."
_GIVEN = " (as the given app does: counts once the answer does something that it does not)"
_NOT_DONE = (Outcome.FAILED, Outcome.NOT_ATTEMPTED, Outcome.NOT_RUN)
_NOTHING_ANSWERS = "Not run: nothing answers any more."


class Runner:
    """Runs one rubric on one exam, to its end or to its first failure."""

    def __init__(self, exercise: Exercise, exam: Exam, first_failure_only: bool = False) -> None:
        self._exercise = exercise
        self._exam = exam
        self._first_failure_only = first_failure_only
        self._failed = False
        self._gate_closed = False
        self._dead = False
        self._broken = ""
        self._races = any(criterion.kind is Kind.SPEED for criterion in exercise.rubric)

    def run(self) -> list[CriterionResult]:
        """The results of all criteria, in the order of the rubric."""
        # A baseline is for the race alone, which a wrong answer may never reach.
        racing = self._races and not self._first_failure_only
        try:
            self._exam.prepare("learner", "reference", *(["baseline"] if racing else []))
            self._read_values()
        except CouldNotCheck as error:
            self._broken = str(error)
        results = [self._timed(criterion) for criterion in self._exercise.rubric[:1]]
        if all(result.outcome is Outcome.NOT_ATTEMPTED for result in results):
            return not_attempted(self._exercise)
        results += [self._timed(criterion) for criterion in self._exercise.rubric[1:]]
        return self._beyond_what_was_given(results)

    def _beyond_what_was_given(self, results: list[CriterionResult]) -> list[CriterionResult]:
        """No points for what the given app does, if nothing else is known to be better."""
        given = {criterion.name for criterion in self._exercise.given}
        others = [each for each in results if each.name not in given]
        if any(each.earned or each.outcome not in _NOT_DONE for each in others):
            return results
        return [
            replace(each, earned=0.0, observed=f"{each.observed}{_GIVEN}") if each.earned else each
            for each in results
        ]

    def _timed(self, criterion: Criterion) -> CriterionResult:
        if self._broken:
            return _result(criterion, Outcome.COULD_NOT_CHECK, self._broken)
        if self._dead:
            return _result(criterion, Outcome.NOT_RUN, _NOTHING_ANSWERS)
        if self._failed and self._first_failure_only:
            return _result(criterion, Outcome.NOT_RUN, _FAILED_BEFORE)
        if self._gate_closed and criterion.kind is not Kind.CONTRACT:
            return _result(criterion, Outcome.NOT_RUN, _CONTRACT_FIRST)
        self._exam.progress(criterion.title)
        began = time.monotonic()
        result = self._judged(criterion)
        self._failed |= result.outcome is Outcome.FAILED
        if criterion.kind is Kind.CONTRACT and result.outcome is not Outcome.PASSED:
            self._gate_closed = True
        return replace(result, seconds=time.monotonic() - began)

    def _judged(self, criterion: Criterion) -> CriterionResult:
        try:
            return self._tried(criterion)
        except BlocksValkey as failure:
            self._dead = True
            return _failed(criterion, failure)

    def _tried(self, criterion: Criterion) -> CriterionResult:
        try:
            return self._attempt(criterion)
        except BlocksValkey:
            raise
        except CouldNotCheck as error:
            return self._could_not_check(criterion, str(error))
        except Exception as error:
            return self._surprised(criterion, error)

    def _surprised(self, criterion: Criterion, error: Exception) -> CriterionResult:
        """The criterion has met what its author did not think of: whose fault is it?

        The answer's, if the same criterion gets through with our own answer in its place.
        """
        told = str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
        unchecked = self._could_not_check(criterion, told)
        if self._broken or not self._passes_with_reference(criterion):
            return unchecked
        observed = f"{self._exam.last_answer()} ({told[:200]})"
        return _failed(criterion, UnexpectedAnswer(observed, "an answer like the reference's"))

    def _passes_with_reference(self, criterion: Criterion) -> bool:
        with self._exam.of_reference(self._exercise.reference_values) as exam:
            try:
                criterion.check(exam)
            except CannotTell:
                return True
            except Exception:
                return False
        return True

    def _attempt(self, criterion: Criterion) -> CriterionResult:
        try:
            evidence = criterion.check(self._exam)
            if not isinstance(evidence, Evidence):
                raise CouldNotCheck(f"{criterion.name} gave no evidence.")
        except NotAttempted:
            return _result(criterion, Outcome.NOT_ATTEMPTED)
        except CannotTell as doubt:
            self._exam.require_services()
            result = _result(criterion, Outcome.CANNOT_TELL, doubt.observed, doubt.wanted)
            return replace(result, numbers=doubt.numbers)
        except CouldNotCheck:
            # A process that has ended cannot be asked either, and that is the answer's fault.
            self._exam.require_services()
            if (ended := self._end_of_learner()) is None:
                raise
            self._dead = True
            return _failed(criterion, ended)
        except Failure as failure:
            # With a database gone every answer is wrong, and it is not the learner's fault.
            self._exam.require_services()
            # Nor is it where our own answer does not run either.
            if isinstance(failure, NEVER_RAN):
                self._exam.require_reference()
            self._dead = failure.fatal
            return _failed(criterion, failure)
        result = _result(criterion, Outcome.PASSED, evidence.observed, evidence.wanted)
        return replace(result, earned=criterion.points, numbers=dict(evidence.numbers))

    def _end_of_learner(self) -> Failure | None:
        try:
            self._exam.learner.check_alive()
        except Failure as failure:
            return failure
        return None

    def _could_not_check(self, criterion: Criterion, why: str) -> CriterionResult:
        try:
            self._exam.require_services()
        except CouldNotCheck as error:
            why = self._broken = str(error)
        return _result(criterion, Outcome.COULD_NOT_CHECK, why)

    def _read_values(self) -> None:
        """What a submission's file hands in beside the app."""
        learner = self._exam.learner
        if self._exercise.values and isinstance(learner, ProcessCandidate):
            # A submission that does not load says so again to the first criterion.
            with contextlib.suppress(Failure, NotAttempted):
                learner.load()
                self._exam.values = {**self._exam.values, **learner.values}


def not_attempted(exercise: Exercise) -> list[CriterionResult]:
    """The results of an exercise that has not been begun."""
    return [_result(criterion, Outcome.NOT_ATTEMPTED) for criterion in exercise.rubric]


def _failed(criterion: Criterion, failure: Failure) -> CriterionResult:
    observed = failure.observed or "nothing"  # as an empty answer is
    result = _result(criterion, Outcome.FAILED, observed, failure.wanted)
    return replace(
        result,
        earned=criterion.points * min(max(failure.credit, 0.0), 1.0),
        failure=type(failure).__name__,
        summary=failure.summary(),
        hint=failure.hint,
        numbers=failure.numbers,
    )


def _result(
    criterion: Criterion, outcome: Outcome, observed: str = "", wanted: str = ""
) -> CriterionResult:
    return CriterionResult(
        name=criterion.name,
        title=criterion.title,
        kind=criterion.kind,
        points=criterion.points,
        outcome=outcome,
        observed=harmless(observed),
        wanted=harmless(wanted),
    )
