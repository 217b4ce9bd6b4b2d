"""Exercise 13: a Locust that does not run here is nobody's failure, and an empty table is told."""

from types import SimpleNamespace
from typing import Any

import pytest

from course_app.exercises.finding_the_bottleneck import rubric
from course_app.exercises.finding_the_bottleneck.mixup import Trial
from course_app.exercises.finding_the_bottleneck.reference import LOCUSTFILE
from course_app.grading import CouldNotCheck
from course_app.load.swarm import LocustFailed, SwarmReport

MINE = "import locust"
EMPTY = Trial({}, {}, SwarmReport(2.0, 8, (), 0.1, 1))


def exam(locustfile: str) -> Any:
    """With as much of an exam as a trial needs."""
    made: Any = SimpleNamespace(
        values={"locustfile": locustfile},
        reference=SimpleNamespace(workspace=SimpleNamespace(postgres_dsn="")),
        progress=lambda _words: None,
        new_seed=lambda: 1,
    )
    made.once = lambda make: make(made)
    return made


def locust_that_runs(monkeypatch: pytest.MonkeyPatch, *locustfiles: str) -> list[str]:
    """Only these run; what was tried is appended to the list."""
    tried: list[str] = []

    def put_on_trial(locustfile: str, _dsn: str, _seed: int) -> Trial:
        tried.append(locustfile)
        if locustfile not in locustfiles:
            raise LocustFailed("Locust did not start within 25 s.")
        return EMPTY

    monkeypatch.setattr(rubric, "put_on_trial", put_on_trial)
    return tried


def test_a_locustfile_that_does_not_run_where_ours_does_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = locust_that_runs(monkeypatch, LOCUSTFILE)
    with pytest.raises(rubric.NoLocustfile):
        rubric.load_tests.check(exam(MINE))
    assert tried == [MINE, LOCUSTFILE]


def test_where_ours_does_not_run_either_nothing_is_said_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locust_that_runs(monkeypatch)
    with pytest.raises(CouldNotCheck, match="did not start within 25 s"):
        rubric.load_tests.check(exam(MINE))


def test_users_who_send_nothing_send_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    locust_that_runs(monkeypatch, MINE)
    for criterion in (rubric.few_names, rubric.load_tests):
        with pytest.raises(rubric.TooFewRequests):
            criterion.check(exam(MINE))
