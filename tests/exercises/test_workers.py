"""Exercise 12: what a plan says is read strictly, and its figures are taken at their word."""

from types import SimpleNamespace
from typing import Any

import pytest

from course_app.exercises.workers import deployment, rubric
from course_app.exercises.workers.figures import reported_gain
from course_app.exercises.workers.plan import Unreadable, read_plan
from course_app.grading import CannotTell
from course_app.measure.statistics import Interval
from course_app.serving import UsageNotKnown

ENTRY = {"server": "uvicorn", "workers": 2, "pool": 3, "measured": {"1": [10, 11, 12]}}


def plan(**changes: Any) -> dict[str, Any]:
    return {
        "computes": ENTRY | changes,
        "waits": ENTRY,
        "reports": ENTRY,
    }


def gain(workers: int, measured: dict[str, Any]) -> float | None:
    return reported_gain(read_plan(plan(workers=workers, measured=measured))["computes"])


def test_connections_are_pools_times_workers() -> None:
    assert read_plan(plan(workers=4, pool=5))["computes"].connections == 20


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "apache"},
        {"server": None},
        {"workers": 0},
        {"workers": True},
        {"workers": "two"},
        {"pool": -1},
        {"pool": 1.5},
        {"pool": 10**9},
    ],
)
def test_what_is_no_choice_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match="computes"):
        read_plan(plan(**changes))


@pytest.mark.parametrize("data", [None, [], {}, {"computes": ENTRY}, plan() | {"more": ENTRY}])
def test_what_is_no_plan_is_refused(data: Any) -> None:
    with pytest.raises(Unreadable, match="form"):
        read_plan(data)


def test_a_gain_is_that_of_the_chosen_number_over_one_worker() -> None:
    measured = {"1": [10, 10, 11], "2": [20, 19, 20], "5": [30, 30, 30]}
    assert gain(2, measured) == 2
    assert gain(1, measured) == 3  # the most that was tried, and refused


@pytest.mark.parametrize(
    "measured",
    [{}, {"1": [1, 1, 1]}, {"2": [1, 1, 1]}, {"1": [1, 1], "2": [1, 1]}, {"1": "many", "2": [0]}],
)
def test_too_few_figures_are_no_measurement(measured: dict[str, Any]) -> None:
    assert gain(2, measured) is None
    assert gain(1, measured) is None


BUSY, QUIET = Interval(0.9, 0.8, 1.0), Interval(1.9, 1.8, 2.0)


@pytest.mark.parametrize(
    ("found", "said", "outcome"),
    [
        ([QUIET], 2.0, None),
        ([BUSY, QUIET], 2.1, None),  # the busy moment is over
        ([BUSY] * 3, 2.1, CannotTell),  # the figure may be that of a quiet machine
        ([BUSY] * 3, 9.0, rubric.NotTrue),
        ([QUIET] * 3, 9.0, rubric.NotTrue),
        ([QUIET] * 3, 0.3, rubric.NotTrue),
    ],
)
def test_a_busy_machine_does_not_refute_a_figure(
    monkeypatch: pytest.MonkeyPatch,
    found: list[Interval],
    said: float,
    outcome: type[Exception] | None,
) -> None:
    looks = iter(found)
    monkeypatch.setattr(rubric, "own_gain", lambda *_: next(looks))
    arguments: Any = (None, "computes", {}, said)
    if outcome is None:
        rubric._require_true(*arguments)
    else:
        with pytest.raises(outcome):
            rubric._require_true(*arguments)
    assert next(looks, None) is None


def unreadable() -> float:
    raise UsageNotKnown("The system does not tell.")


@pytest.mark.parametrize("clock", [lambda: 1.5, unreadable], ids=["stands still", "unreadable"])
def test_a_clock_that_tells_nothing_is_no_cost(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    sent = SimpleNamespace(error_count=0, completed=100, served=110)
    monkeypatch.setattr(deployment, "_sent", lambda *_: sent)
    server: Any = SimpleNamespace(name="waits", cpu_seconds=clock)
    exam: Any = None
    with pytest.raises(UsageNotKnown):
        deployment.cpu_per_request(exam, server, "/hello", 8)


def test_memory_that_cannot_be_read_is_within_no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SimpleNamespace(pss_bytes=unreadable)
    monkeypatch.setattr(rubric, "_server", lambda _exam, _service: server)
    exam: Any = None
    with pytest.raises(UsageNotKnown):
        rubric.within_budget.check(exam)
