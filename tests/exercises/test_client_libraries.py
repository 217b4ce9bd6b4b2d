"""Exercise 03: which intervals tell two drivers apart."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from course_app.exercises.client_libraries import rubric
from course_app.exercises.client_libraries.rubric import NoReport, _equally_wide, _told_apart
from course_app.grading.failures import StoppedAnswering
from course_app.load.limits import TimedOut
from course_app.measure.probes import Reading
from course_app.measure.probes.postgres import PostgresProbe
from course_app.measure.statistics import Interval


@pytest.mark.parametrize(
    ("fast", "slow", "told"),
    [
        (Interval(1.4, 1.2, 1.6), Interval(2.9, 2.5, 3.3), True),
        (Interval(1.4, 0.8, 2.5), Interval(2.9, 1.6, 5.5), True),  # they overlap, but not so far
        (Interval(1.4, 0.5, 4.0), Interval(2.9, 1.0, 6.0), False),
        (Interval(1.4, 0.07, 28), Interval(2.9, 0.15, 58), False),  # it holds anything
        (Interval(2.9, 1.6, 5.5), Interval(1.4, 0.8, 2.5), False),  # the wrong way round
    ],
)
def test_drivers_are_told_apart_where_an_interval_leaves_the_others_estimate_out(
    fast: Interval, slow: Interval, told: bool
) -> None:
    assert _told_apart(fast, slow) is told


@pytest.mark.parametrize(
    ("intervals", "equal"),
    [
        ([Interval(1, 0.9, 1.1), Interval(3, 2.7, 3.3), Interval(9, 8.1, 9.9)], True),
        ([Interval(1, 0.9, 1.1), Interval(3, 2.8, 3.3), Interval(9, 8.1, 9.9)], False),
        ([Interval(0.12, 0.12, 0.12), Interval(0.2, 0.2, 0.2)], False),  # narrow, and rounded
    ],
)
def test_intervals_that_are_a_fixed_share_are_not_measured(
    intervals: list[Interval], equal: bool
) -> None:
    assert _equally_wide(intervals) is equal


class Probe(PostgresProbe):
    """Notes when it was asked to count; counts what the last report says."""

    def __init__(self, events: list[str]) -> None:
        self.events, self.rows = events, 0

    def start(self) -> None:
        self.events.append("counts")

    def stop(self) -> list[Reading]:
        self.events.append("has counted")
        return [Reading("rows", 20.0 * self.rows), Reading("PostgreSQL sessions", 2.0)]


def exam_of(events: list[str], late_reports: int) -> Any:
    """Reports on one driver against itself, of which the first few come too late."""
    probe = Probe(events)

    def ask(who: object, request: Any) -> list[Any]:
        if who == "ours":
            events.append("ours")
            return []
        events.append("report")
        if events.count("report") <= late_reports:
            raise StoppedAnswering("silence", "an answer") from TimedOut("too late")
        probe.rows = int(request.path.rpartition("=")[2])
        names = [part.partition("=")[2] for part in request.path.split("&")[:-1]]
        drivers = [{"driver": x, "calls": 10, "times_as_long": [0.9, 1.0, 1.1]} for x in names]
        report = {"drivers": drivers}
        return [SimpleNamespace(status=200, json=lambda: report)]

    known: dict[Any, Any] = {}
    return SimpleNamespace(
        ask=ask,
        once=lambda make: known.setdefault(make, make(None)),
        reference="ours",
        learner_frozen=nullcontext,
        learner=SimpleNamespace(connections_after=lambda _seconds: events.append("has ended")),
        patient=lambda _seconds: nullcontext(),
        probes=lambda _learner: [probe],
        random=SimpleNamespace(randint=lambda low, _high: low),
    )


def test_what_a_late_report_does_is_not_counted_with_the_next_one() -> None:
    events: list[str] = []
    rubric.fetches_as_it_says.check(exam_of(events, late_reports=1))
    late = ["counts", "report", "has ended", "ours"]
    assert events[:7] == [*late, "counts", "report", "has counted"]


@pytest.mark.parametrize(("ours", "patience"), [(0.3, "3.0"), (2.0, "6.0"), (8.0, "9.0")])
def test_a_report_that_is_late_again_is_none_if_ours_is_not(
    ours: float, patience: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rubric, "_seconds_of_ours", lambda _exam: ours)
    events: list[str] = []
    with pytest.raises(NoReport, match=f"no answer within {patience} s"):
        rubric.fetches_as_it_says.check(exam_of(events, late_reports=2))
    assert events == ["counts", "report", "has ended", "counts", "report"]
