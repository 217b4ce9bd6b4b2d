"""Both doors: the same rubric, the same scorecard, and whose fault it was."""

import contextlib
import inspect
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import psycopg
import pytest
import redis
import toy as squares
import toy_pool as users
from fastapi import FastAPI
from redis.backoff import NoBackoff
from redis.retry import Retry

from course_app.grading import (
    Checker,
    CouldNotCheck,
    CriterionResult,
    Evidence,
    Exam,
    Exercise,
    Outcome,
    contract,
    hygiene,
    mechanism,
)
from course_app.grading.proofs import TRIES
from course_app.grading.workspace import MOST_CONNECTIONS, Workspaces
from course_app.services import Services, start_services
from course_app.system.waiting import wait_until

COUNTS_ONLY = replace(users.exercise, rubric=(users.same_users, users.no_sessions, users.closes))


@pytest.fixture(scope="module", params=[False, True], ids=["thread", "process"])
def each_door(request: pytest.FixtureRequest, services: Services) -> Iterator[Checker]:
    with Checker(lambda: services, isolated=request.param) as checker:
        yield checker


THROUGH_THE_OTHER = pytest.param(True, id="process", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[pytest.param(False, id="thread"), THROUGH_THE_OTHER])
def door(request: pytest.FixtureRequest, services: Services) -> Iterator[Checker]:
    """Behind both is one engine: what it does is seen through one, and in the long proofs both."""
    with Checker(lambda: services, isolated=request.param) as checker:
        yield checker


def outcomes(checker: Checker, exercise: Exercise, answer: object) -> list[str]:
    return [str(result.outcome) for result in checker.check(exercise, answer).results]


def failures(checker: Checker, exercise: Exercise, answer: object) -> list[str | None]:
    return [result.failure for result in checker.check(exercise, answer).failures()]


def test_a_right_answer_gets_its_points(each_door: Checker) -> None:
    card = each_door.check(COUNTS_ONLY, users.create_reference)
    assert card.passed, card
    assert card.points == 8


def test_each_mistake_is_its_own_failure(door: Checker) -> None:
    assert failures(door, COUNTS_ONLY, users.create_baseline) == ["OpensConnections"]
    assert failures(door, COUNTS_ONLY, users.create_many_pools) == ["OpensPools"]
    assert failures(door, COUNTS_ONLY, users.create_leaking) == ["LeavesConnections"]


def test_a_rubric_can_use_services_and_contexts_that_no_app_asks_for(door: Checker) -> None:
    events = []

    @contextlib.contextmanager
    def helper() -> Iterator[str]:
        yield "helps"
        events.append("left")

    @contract(points=1)
    def uses_them(exam: Exam) -> Evidence:
        """It works."""
        (row,) = exam.learner.workspace.execute("SELECT count(*) FROM tags")
        events.append(exam.enter(helper()))
        return Evidence(str(row[0]), "rows")

    exercise = replace(squares.exercise, rubric=(uses_them,), uses=("postgres_dsn",))
    assert door.check(exercise, squares.create_reference).passed
    assert events == ["helps", "left"]


def test_after_a_wrong_answer_nothing_else_is_run(door: Checker) -> None:
    card = door.check(squares.exercise, squares.create_wrong)
    assert [r.outcome for r in card.results] == [Outcome.FAILED, Outcome.NOT_RUN, Outcome.NOT_RUN]
    assert "contract first" in card.results[1].observed
    assert card.seconds < 5


@pytest.mark.usefixtures("quick_pace")
def test_speed_is_a_share_of_the_references_gain(door: Checker) -> None:
    assert decided(door, squares.create_reference).outcome is Outcome.PASSED
    slow = decided(door, squares.create_slow)
    assert (slow.failure, slow.earned) == ("TooLittleGain", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_pace")
def test_who_answers_nothing_in_a_whole_window_wins_too_little(door: Checker) -> None:
    only = replace(squares.exercise, rubric=(squares.faster,))
    (result,) = door.check(only, squares.create_outlasting).results
    assert (result.failure, result.earned) == ("TooLittleGain", 0)


def decided(door: Checker, answer: object) -> CriterionResult:
    """The verdict on an answer's speed; a busy machine may need more than one look for it."""
    for _ in range(TRIES):
        result = door.check(squares.exercise, answer).results[1]
        if result.outcome is not Outcome.CANNOT_TELL:
            break
    return result


def test_a_part_of_the_points_can_be_kept(door: Checker) -> None:
    only = replace(squares.exercise, rubric=(squares.same_squares, squares.refuses))
    card = door.check(only, squares.create_loose)
    assert (card.results[1].failure, card.results[1].earned) == ("NoRefusal", 1.0)


def test_a_handler_that_is_not_written_is_not_attempted(door: Checker) -> None:
    card = door.check(squares.exercise, squares.create_unwritten)
    assert card.outcome is Outcome.NOT_ATTEMPTED


def test_a_mistake_of_the_check_is_not_the_learners(door: Checker) -> None:
    @contract(points=1)
    def broken(_exam: Exam) -> Evidence:
        """Broken."""
        raise KeyError("mistake")

    @contract(points=1)
    def silent(_exam: Exam) -> Evidence:
        """Gives nothing."""
        return None  # type: ignore[return-value]

    exercise = replace(squares.exercise, rubric=(broken, silent))
    assert outcomes(door, exercise, squares.create_reference) == ["could not check"] * 2


def test_a_wrong_reference_is_not_the_learners_fault(door: Checker) -> None:
    exercise = replace(squares.exercise, reference=squares.create_wrong)
    # One of a hundred seeds asks for no number that is too large.
    card = door.check(exercise, squares.create_reference, seed=1)
    assert card.outcome is Outcome.COULD_NOT_CHECK


def test_the_same_seed_sends_the_same_requests(door: Checker) -> None:
    seen: list[list[str]] = []

    @contract(points=1)
    def look(exam: Exam) -> Evidence:
        """Look."""
        answers = exam.ask(exam.learner, squares.NUMBERS, 5)
        seen.append([answer.request_text.partition("\r\n")[0] for answer in answers])
        return Evidence("", "")

    exercise = replace(squares.exercise, rubric=(look,))
    for seed in (1, 1, None):
        door.check(exercise, squares.create_reference, seed=seed)
    assert seen[0] == seen[1] != seen[2]


def test_restarts_and_costs_can_be_observed(each_door: Checker) -> None:
    @mechanism(points=1)
    def observe(exam: Exam) -> Evidence:
        """Observe."""
        learner = exam.learner
        exam.ask(learner, squares.NUMBERS, 5)
        before = learner.cpu_seconds()
        exam.load(learner, squares.NUMBERS, requests=300)
        used = learner.cpu_seconds() - before
        assert 0.001 < used < 60
        assert learner.memory_bytes() > 2**20
        learner.restart()
        exam.ask(learner, squares.NUMBERS, 5)
        return Evidence(f"{used}", "")

    exercise = replace(squares.exercise, rubric=(observe,))
    card = each_door.check(exercise, squares.create_reference)
    assert card.passed, card


@pytest.mark.slow
def test_killing_postgresql_in_the_middle_is_not_the_learners_fault() -> None:
    with start_services() as own, Checker(lambda: own, isolated=True) as checker:

        @hygiene(points=1)
        def unlucky(exam: Exam) -> Evidence:
            """PostgreSQL goes away in the middle."""
            kill_postgres(own)
            return exam.same_answers(users.READS)

        exercise = replace(users.exercise, rubric=(users.same_users, unlucky, users.no_sessions))
        card = checker.check(exercise, users.create_reference)
    results = [str(result.outcome) for result in card.results]
    assert results == ["passed", "could not check", "could not check"]
    assert card.outcome is Outcome.COULD_NOT_CHECK


def kill_postgres(services: Services) -> None:
    with psycopg.connect(services.postgres_dsn) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        postmaster = backend.parent()
    assert postmaster is not None
    os.kill(postmaster.pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(postmaster.pid), 5)


def test_counters_cannot_be_reset_from_inside(services: Services) -> None:
    spaces = Workspaces(lambda: services)
    with spaces.open(("postgres_dsn",)) as mine, spaces.open(("postgres_dsn",)) as other:
        assert mine.postgres_dsn is not None
        with psycopg.connect(mine.postgres_dsn, autocommit=True) as connection:
            connection.execute("CREATE INDEX ON posts (author_id)")
            for statement in ("SELECT pg_stat_statements_reset()", "SELECT pg_stat_reset()"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        theirs = (other.postgres_dsn or "").rpartition("/")[2]
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(f"{mine.postgres_dsn.rpartition('/')[0]}/{theirs}")


def test_an_app_that_takes_every_connection_leaves_some_to_the_check(services: Services) -> None:
    with (
        Workspaces(lambda: services).open(("postgres_dsn",)) as space,
        contextlib.ExitStack() as all_,
    ):
        assert space.postgres_dsn is not None
        assert space.owner_dsn is not None
        for _ in range(MOST_CONNECTIONS):
            all_.enter_context(psycopg.connect(space.postgres_dsn))
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            psycopg.connect(space.postgres_dsn)
        psycopg.connect(space.owner_dsn).close()


def test_nothing_is_left_of_a_workspace(services: Services) -> None:
    for _ in range(20):  # Valkey has 16 databases
        with Workspaces(lambda: services).open(()):
            pass
    spaces = Workspaces(lambda: services)
    for _ in range(20):
        with spaces.open(("valkey_url",)) as space:
            assert space.valkey_url
    with spaces.open(("postgres_dsn",)) as space:
        name = (space.postgres_dsn or "").rpartition("/")[2]
    with psycopg.connect(services.postgres_dsn) as connection:
        query = "SELECT FROM pg_database WHERE datname = %s"
        assert connection.execute(query, [name]).fetchone() is None
        query = "SELECT FROM pg_roles WHERE rolname = %s"
        assert connection.execute(query, [space.user]).fetchone() is None


def test_valkey_goes_away_from_the_app_alone_and_comes_back_as_it_was(
    services: Services,
) -> None:
    spaces = Workspaces(lambda: services)
    with spaces.open(("valkey_url",), valkey_can_go_away=True) as space:
        never = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 0.2}
        with (
            redis.Redis.from_url(space.valkey_url or "", **never) as app,
            redis.Redis.from_url(space.owner_valkey_url or "") as check,
        ):
            app.set("key", "kept")
            with space.valkey_away():
                with pytest.raises(redis.ConnectionError):
                    app.get("key")
                assert check.get("key") == b"kept"
            assert app.get("key") == b"kept"
            with space.valkey_away(silent=True), pytest.raises(redis.TimeoutError):
                app.get("key")
    with (
        spaces.open(("valkey_url",)) as space,
        pytest.raises(CouldNotCheck, match="cannot be taken away"),
        space.valkey_away(),
    ):
        raise AssertionError("it was taken away")


def test_nothing_goes_to_standard_error(
    services: Services, capfd: pytest.CaptureFixture[str]
) -> None:
    def create_noisy() -> FastAPI:
        import sys

        def noise() -> None:
            print("out")
            print("err", file=sys.stderr)
            raise RuntimeError("broken")

        return squares.squares(noise)

    with Checker(lambda: services) as checker:
        card = checker.check(squares.exercise, create_noisy)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert card.outcome is Outcome.FAILED
    assert "broken" in card.log


NOTEBOOK = f"""
from course_app.lab import Lab, get, uniform
lab = Lab()
---
def create_app(postgres_dsn):
    return users(lambda: asyncpg.connect(postgres_dsn))
---
comparison = lab.compare({{"a": 1}}, get("/users/{{id}}", id=uniform(1, lab.users)))
comparison.plot()
---
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
import asyncpg
from fastapi import FastAPI, HTTPException
QUERY = {users.QUERY!r}
{inspect.getsource(users.users)}
---
{inspect.getsource(users.create_reference)}
def create_app(postgres_dsn):
    return create_reference(postgres_dsn)
---
from course_app.learn import check
check("04_connection_pooling", create_app)
finding = {{"fastest": "pool", "ratios": [1, 2.5]}}
---
this_cell_fails()
"""


def test_a_notebook_is_graded_by_names_whatever_else_its_cells_do(
    services: Services, tmp_path: Path
) -> None:
    texts = NOTEBOOK.split("---")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in texts])
    path = tmp_path / "any name.ipynb"
    nbformat.write(notebook, path)
    found: list[object] = []

    @mechanism(points=1)
    def value(exam: Exam) -> Evidence:
        """What was found is handed in, too."""
        found.append(exam.values["finding"])
        return Evidence("", "")

    rubric = (users.same_users, users.no_sessions, value)
    with Checker(lambda: services, isolated=True) as checker:
        card = checker.check(replace(users.exercise, rubric=rubric, values=("finding",)), path)
    assert card.passed, card
    assert found == [{"fastest": "pool", "ratios": [1, 2.5]}]


def test_values_from_a_notebook_are_plain_too(services: Services) -> None:
    class Yes(int):
        def __eq__(self, _other: object) -> bool:
            return True

        __hash__ = int.__hash__

    @contract(points=1)
    def forty_two(exam: Exam) -> Evidence:
        """The answer is 42."""
        if exam.values["number"] == 42:
            return Evidence("42", "42")
        raise squares.NoRefusal("another number", "42")

    exercise = replace(squares.exercise, rubric=(forty_two,), values=("number",))
    with Checker(lambda: services) as checker:
        for number, outcome in ((42, Outcome.PASSED), (Yes(7), Outcome.FAILED)):
            card = checker.check(exercise, squares.create_reference, values={"number": number})
            assert card.outcome is outcome


def test_an_interrupt_ends_everything(services: Services) -> None:
    threads = threading.active_count()

    @contract(points=1)
    def interrupted(exam: Exam) -> Evidence:
        """Interrupted."""
        exam.ask(exam.learner, squares.NUMBERS)
        raise KeyboardInterrupt

    exercise = replace(squares.exercise, rubric=(interrupted,))
    for isolated in (False, True):
        with (
            Checker(lambda: services, isolated=isolated) as checker,
            pytest.raises(KeyboardInterrupt),
        ):
            checker.check(exercise, squares.create_reference)
    assert wait_until(lambda: threading.active_count() <= threads, 3)
