"""Exercise 15: what became of visitors is counted rightly, and noise is no wrong answer."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from course_app.exercises.overload import rubric
from course_app.exercises.overload.baseline import seal_of
from course_app.exercises.overload.loads import Loads
from course_app.exercises.overload.outcomes import LOST, Capacity, Load
from course_app.exercises.overload.rubric import (
    HealthLate,
    Look,
    NeverRefuses,
    RefusesLate,
    ServesLate,
    ServesTooLittle,
)
from course_app.grading import CannotTell, Evidence, Exam
from course_app.load import Response, Visits

MS = 1_000_000
#: When it was due and how long it took, in milliseconds; its status; whether it was right.
Answer = tuple[float, float, int, bool]


def visits(*answers: Answer, attempts: Sequence[int] = ()) -> Visits:
    due, took, status, right = (np.array(column) for column in zip(*answers, strict=True))
    begin = 10**12
    due_ns = (begin + due * MS).astype(np.int64)
    return Visits(
        visitor=np.arange(len(answers)),
        attempt=np.array(attempts or [0] * len(answers)),
        due_ns=due_ns,
        start_ns=due_ns,
        end_ns=due_ns + (took * MS).astype(np.int64),
        status=status,
        right=right,
        window_start_ns=begin,
        window_seconds=1.0,
        errors=(),
        generator_cpu_seconds=0.0,
    )


def load(*answers: Answer, after: float = 100.0, stretch: float = 1.0, **more: Any) -> Load:
    return Load(visits(*answers, **more), Capacity(100.0, stretch), Capacity(after, 1.0))


def test_each_visitor_becomes_one_thing() -> None:
    became = load(
        (0, 20, 200, True),
        (10, 130, 200, True),
        (20, 3, 503, False),
        (30, 250, 0, False),
        (40, 5, 200, False),
        (50, 5, 500, False),
    ).became()
    assert (became.good, became.late, became.refused, became.left) == (1, 1, 1, 3)
    assert str(became).startswith("of 6: 17% in time, 17% late")


def test_only_first_attempts_within_the_part_count() -> None:
    seen = load((100, 5, 503, False), (250, 5, 200, True), (600, 5, 200, True), attempts=[0, 1, 0])
    assert seen.became(0.0, 0.5).total == 1
    assert seen.became(0.5, 1.0).good == 1
    assert seen.refused == 1


def test_goodput_is_a_share_of_what_the_machine_could_do() -> None:
    answers = [(10.0 * number, 5, 200, True) for number in range(80)]
    assert load(*answers).goodput(0.0, 1.0) == pytest.approx(0.8)
    assert load(*answers, after=25.0).goodput(0.0, 1.0) == pytest.approx(1.6)


def test_beside_a_busy_neighbour_everything_has_longer() -> None:
    late = (0, 150, 200, True)
    assert load(late).became().late == 1
    assert load(late, stretch=2.0).became().good == 1
    assert load(late, stretch=0.5).became().late == 1


def test_a_machine_that_changed_is_not_steady() -> None:
    answer = (0, 5, 200, True)
    assert load(answer, after=110.0).steady
    assert not load(answer, after=140.0).steady
    assert not load(answer, after=60.0).steady
    assert load(answer, after=25.0).heavier == 2
    assert load(answer, after=70.0).calm_after(0.6)
    assert not load(answer, after=60.0).calm_after(0.6)


def test_what_is_neither_an_answer_nor_a_refusal_is_named() -> None:
    seen = load((0, 5, 503, False), (5, 5, 429, False), (9, 5, 200, False), (9, 5, LOST, False))
    assert seen.statuses() == {429, 200}
    assert seen.cut_off == 0.25


def test_a_refusal_has_to_come_in_time() -> None:
    assert load((0, 5, 503, False), (0, 130, 503, False)).refused_late == 0.5
    assert load((0, 5, 200, True)).refused_late == 0.0


@pytest.mark.parametrize(
    ("told", "says_when"),
    [
        ("1", True),
        ("30", True),
        ("Wed, 21 Oct 2099 07:28:00 GMT", True),
        ("0", False),
        ("0.5", False),
        ("-1", False),
        ("²", False),
        ("soon", False),
        (None, False),
    ],
)
def test_retry_after_is_seconds_or_a_date(told: str | None, says_when: bool) -> None:
    headers = () if told is None else (("retry-after", told),)
    assert rubric._says_when(Response(503, headers, b"", "")) is says_when


RIGHT = Look(Evidence("well", "well"))
ILL = Look(Evidence("ill", "well"), RefusesLate("ill", "well"))
CLEARLY_ILL = Look(Evidence("dead", "well"), NeverRefuses("dead", "well"), clearly=True)
STILL_ILL = Look(Evidence("late", "well"), RefusesLate("late", "well"), clearly=True)
UNSTEADY = Look(Evidence("ill", "well"), RefusesLate("ill", "well"), clearly=True, steady=False)


def looking(learner: Sequence[Look], reference: Sequence[Look] = ()) -> Callable[[Any], Look]:
    looks = {"learner": iter(learner), "reference": iter(reference)}
    return lambda candidate: next(looks[candidate])


EXAM: Any = SimpleNamespace(learner="learner", reference="reference", progress=lambda _words: None)


@pytest.mark.parametrize("looks", [[RIGHT], [CLEARLY_ILL, RIGHT], [UNSTEADY, ILL, RIGHT]])
def test_once_right_is_right(looks: list[Look]) -> None:
    assert rubric._decided(EXAM, looking(looks)).observed == "well"


def test_clearly_wrong_twice_on_a_steady_machine_is_wrong() -> None:
    with pytest.raises(NeverRefuses):
        rubric._decided(EXAM, looking([CLEARLY_ILL, STILL_ILL]))


def test_wrong_again_and_again_is_wrong_where_our_own_answer_is_right() -> None:
    with pytest.raises(RefusesLate):
        rubric._decided(EXAM, looking([ILL, UNSTEADY, ILL], [RIGHT]))
    with pytest.raises(CannotTell):
        rubric._decided(EXAM, looking([ILL, ILL, ILL], [ILL]))


def test_an_unsteady_machine_is_no_wrong_answer() -> None:
    with pytest.raises(CannotTell):
        rubric._decided(EXAM, looking([UNSTEADY, UNSTEADY, UNSTEADY], [RIGHT]))


@pytest.mark.parametrize(
    ("shares", "own", "outcome"),
    [
        ([0.9, 0.92, 0.91, 0.9], 0.95, None),
        ([0.4, 0.42, 0.41, 0.4], 0.95, ServesTooLittle),
        ([0.72, 0.73, 0.72, 0.73], 1.0, ServesTooLittle),
        ([0.76, 0.77, 0.76, 0.77], 0.9, CannotTell),
        ([0.76, 0.77, 0.76, 0.77], 0.7, CannotTell),
        ([0.7, 0.9, 0.8, 0.85], 1.0, CannotTell),
    ],
)
def test_nobody_has_to_serve_more_than_our_own_answer_can(
    shares: list[float], own: float, outcome: type[Exception] | None
) -> None:
    def rounds(*goodput: float) -> list[Any]:
        seen = load((300, 5, 503, False))
        return [SimpleNamespace(goodput=each, load=seen) for each in goodput]

    # More rounds than these are as far apart.
    loads = SimpleNamespace(overloads=rounds(*shares * 4), controls=rounds(own, own, own))
    exam: Any = SimpleNamespace(**vars(EXAM), once=lambda _make: loads)
    with pytest.raises(outcome) if outcome else nullcontext():
        rubric.goodput.check(exam)


@pytest.mark.parametrize(
    ("share", "own", "outcome"),
    [
        (0.92, 0.95, None),
        (0.89, 0.95, CannotTell),
        (0.7, 0.95, HealthLate),
        (0.7, 0.85, CannotTell),
        (0.4, 0.85, HealthLate),
    ],
)
def test_a_health_check_that_is_late_now_and_then_is_compared_with_our_own_answers(
    share: float, own: float, outcome: type[Exception] | None
) -> None:
    def rounds(healthy: float, count: int) -> list[Any]:
        return [SimpleNamespace(healthy=healthy, health=SimpleNamespace(errors=()))] * count

    loads = SimpleNamespace(overloads=rounds(share, 4), controls=rounds(own, 3))
    exam: Any = SimpleNamespace(once=lambda _prepare: loads)
    with pytest.raises(outcome) if outcome else nullcontext():
        rubric.healthy.check(exam)


def test_what_is_missing_came_late_or_was_not_served() -> None:
    in_time, late, refused = (300, 5, 200, True), (300, 150, 200, True), (300, 5, 503, False)

    def why(*answers: Answer) -> type[Exception]:
        rounds: list[Any] = [SimpleNamespace(load=load(*answers))]  # 60 answers would be possible
        return rubric._why_too_few(rounds)

    assert why(*[in_time] * 20, *[late] * 30, *[refused] * 40) is ServesLate
    assert why(*[in_time] * 20, *[late] * 10, *[refused] * 60) is ServesTooLittle
    assert why(*[in_time] * 5, *[refused] * 85) is ServesTooLittle


def test_seals_differ() -> None:
    assert len({seal_of(number) for number in range(1, 6)}) == 5


def test_no_app_of_ours_is_measured_while_the_learners_works() -> None:
    frozen: list[str] = []

    @contextmanager
    def learner_frozen() -> Iterator[None]:
        frozen.append("frozen")
        yield
        frozen.append("awake")

    def closed(*_: Any, **__: Any) -> Any:
        measured.append(frozen[-1:])
        return SimpleNamespace(throughput=100.0)

    measured: list[list[str]] = []
    exam: Any = SimpleNamespace(
        learner_frozen=learner_frozen,
        enter=lambda _: None,
        random=random.Random(1),
        new_seed=lambda: 1,
        blaming=lambda _: nullcontext(),
        generator=SimpleNamespace(
            connect=lambda *_, **__: None, disconnect=lambda _: None, closed=closed
        ),
    )
    exam.alone = partial(Exam.alone, exam)
    loads = Loads(exam)
    candidates: list[Any] = [
        SimpleNamespace(role=role, url="", cpu_seconds=lambda: 1.0)
        for role in ("reference", "learner")
    ]
    exam._learners = lambda: candidates[1:]
    for candidate in candidates:
        assert loads.capacity(candidate) == Capacity(100.0, 1.0)
    assert measured == [["frozen"], ["awake"]]
    assert frozen == ["frozen", "awake"]
