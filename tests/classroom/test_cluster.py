"""A class on a real Dask cluster: a worker that is lost takes no grade with it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from course_app.classroom.cluster import grade_on_cluster
from course_app.classroom.collect import Submission
from course_app.classroom.ledger import Ledger, Status
from course_app.errors import CourseError
from course_app.services.folders import remove_abandoned
from course_app.services.server import candidate_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Starts, and answers every question wrongly: judged in a few seconds.
WRONG = """
from fastapi import FastAPI

def create_app(postgres_dsn):
    app = FastAPI()
    app.get("/users/{{number}}")(lambda number: {number})
    return app
"""


def dask(*arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def worker(address: str, folder: Path) -> "subprocess.Popen[bytes]":
    options = ("--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(folder))
    return dask("worker", address, *options)


@pytest.fixture
def address() -> Iterator[str]:
    """A scheduler without workers."""
    port = next(candidate_ports())
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    yield f"tcp://127.0.0.1:{port}"
    scheduler.send_signal(signal.SIGTERM)
    scheduler.wait(20)


def test_a_lost_workers_submission_is_graded_by_another(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o711)  # an account for servers only passes through
    monkeypatch.setenv("TMPDIR", str(temporary))
    submissions = []
    for number in range(3):
        path = tmp_path / f"answer{number}.py"
        path.write_text(WRONG.format(number=number))
        submissions.append(Submission(f"learner {number}", "04_connection_pooling", path))
    ledger = Ledger(tmp_path / "out")
    workers = [worker(address, tmp_path / f"worker {number}") for number in range(2)]
    try:
        grading = grade_on_cluster(address, submissions, ledger, seed=1)
        grades = [next(grading)]
        workers[0].kill()
        grades += grading
    finally:
        for each in workers:
            each.send_signal(signal.SIGTERM)
            each.wait(20)
    assert sorted(grade.learner for grade in grades) == [f"learner {n}" for n in range(3)]
    assert {grade.status for grade in grades} == {Status.GRADED}
    assert {grade.points for grade in grades} == {0.0}
    kept = [ledger.find(submission) for submission in submissions]
    assert sorted(grade.learner for grade in kept if grade) == [f"learner {n}" for n in range(3)]
    remove_abandoned()  # as whatever starts services next does
    assert not [path for path in temporary.iterdir() if path.is_dir()]  # but the machine's lock


def test_nobody_at_the_address_is_said_with_what_to_start(tmp_path: Path) -> None:
    path = tmp_path / "answer.py"
    path.write_text("x = 1")
    submission = Submission("Ada", "04_connection_pooling", path)
    with pytest.raises(CourseError, match="dask scheduler"):
        list(grade_on_cluster("tcp://127.0.0.1:9", [submission], Ledger(tmp_path), seed=1))
