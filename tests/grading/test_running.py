"""What a rubric's criteria raise becomes results; nothing is served for it."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import toy

from course_app.grading import CannotTell, Evidence, Exam, Outcome, contract, mechanism
from course_app.grading.limits import Limits
from course_app.grading.rubric import Criterion
from course_app.grading.running import Runner
from course_app.grading.scorecard import CriterionResult


def results(*rubric: Criterion, given: Sequence[Criterion] = ()) -> list[CriterionResult]:
    exam: Any = SimpleNamespace(
        prepare=lambda *_: None,
        progress=lambda _: None,
        require_services=lambda: None,
        learner=None,
        values={},
        of_reference=lambda _: nullcontext(exam),  # a criterion fares as well with our own answer
    )
    return Runner(replace(toy.exercise, rubric=rubric, given=given), exam).run()


@mechanism(points=2)
def counted(_exam: Exam) -> Evidence:
    """It is counted."""
    return Evidence("1", "1")


def test_without_a_contract_that_holds_nothing_else_is_judged() -> None:
    @contract(points=1)
    def mistaken(_exam: Exam) -> Evidence:
        """The criterion itself is wrong."""
        raise KeyError("of the author")

    outcomes = [result.outcome for result in results(mistaken, counted)]
    assert outcomes == [Outcome.COULD_NOT_CHECK, Outcome.NOT_RUN]


@pytest.mark.parametrize(("credit", "earned"), [(0.5, 2.0), (2.0, 4.0), (-1.0, 0.0)])
def test_no_failure_earns_more_than_all_or_less_than_nothing(credit: float, earned: float) -> None:
    @contract(points=4)
    def partly(_exam: Exam) -> Evidence:
        """A part is right."""
        raise toy.NoRefusal("one", "two", credit=credit)

    (result,) = results(partly)
    assert (result.outcome, result.earned) == (Outcome.FAILED, earned)


@contract(points=3)
def as_before(_exam: Exam) -> Evidence:
    """It is as before."""
    return Evidence("it is", "it is")


@mechanism(points=2)
def too_many(_exam: Exam) -> Evidence:
    """There are few."""
    raise toy.NoRefusal("many", "few")


@mechanism(points=2)
def too_noisy(_exam: Exam) -> Evidence:
    """It is fast."""
    raise CannotTell("no", "yes")


def test_what_the_given_app_does_counts_with_what_it_does_not() -> None:
    def points(*rubric: Criterion) -> float:
        return sum(each.earned for each in results(*rubric, given=[as_before]))

    assert points(as_before, too_many) == 0
    assert points(as_before, too_many, counted) == 3 + 2
    assert points(as_before, too_many, too_noisy) == 3  # nobody can tell yet
    before = [each.outcome for each in results(as_before, too_many, given=[as_before])]
    assert before == [Outcome.PASSED, Outcome.FAILED]


def test_who_breaks_the_contract_gets_no_more_than_who_does_nothing() -> None:

    @contract(points=1)
    def broken(_exam: Exam) -> Evidence:
        """Nothing is left out."""
        raise toy.NoRefusal("nothing", "something")

    assert not any(each.earned for each in results(as_before, broken, counted, given=[as_before]))


class Fake:
    """A candidate that says who of them stands still."""

    frozen_now: ClassVar[list["Fake"]] = []

    def __init__(self, role: str) -> None:
        self.role = role

    def another(self) -> "Fake":
        return Fake(self.role)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.frozen_now.append(self)
        yield
        self.frozen_now.remove(self)

    def close(self) -> None:
        pass


def test_in_the_learners_place_the_reference_is_not_frozen_while_it_is_measured() -> None:
    nothing: Any = None
    launch: Any = Fake
    whole = Exam(launch, nothing, limits=Limits(), seed=1, values={}, progress=print)
    with closing(whole), whole.of_reference({}) as exam:
        assert exam.learner.role == exam.reference.role == "reference"
        learners = exam.workers(exam.learner, 2)
        assert exam.workers(exam.reference, 2) != learners
        for each in learners:
            with exam.alone(each):
                assert not Fake.frozen_now
        with exam.alone(exam.reference):
            assert Fake.frozen_now == learners
