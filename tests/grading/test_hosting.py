"""What runs an answer: a process that knows nothing of the grader, and a seed for each worker."""

import errno
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import toy
from submissions import RIGHT, no_services

from course_app.grading import Checker, CouldNotCheck, Evidence, Exam, Outcome, contract, hosting
from course_app.grading.hosting import fork_server
from course_app.grading.limits import Limits
from course_app.load import get
from course_app.processes import OwnedProcess
from course_app.processes.fork_server import NotForked

TELLS = """
import multiprocessing, os, sys
@app.get("/seed")
async def seed():
    return hash("a key")

@app.get("/places")
async def places():
    return sys.path

def squared(number):
    return number * number

@app.get("/spawned")
def spawned():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(squared, (7,)).get(20)

@app.get("/environment")
async def environment():
    with open("/proc/self/environ") as file:
        return [file.read(), dict(os.environ)]
"""


def asked(checker: Checker, submission: Path, path: str) -> str:
    """What the app answers; "" if nothing."""
    told: list[str] = []

    @contract(points=1)
    def tells(exam: Exam) -> Evidence:
        """It tells."""
        told.append(exam.ask(exam.learner, get(path))[0].text)
        return Evidence("", "")

    submission.write_text(RIGHT + TELLS)
    checker.check(replace(toy.exercise, rubric=(tells,)), submission)
    return told[0] if told else ""


@pytest.mark.parametrize("environment", ["server of before", "new server"])
def test_an_answers_process_holds_nothing_of_the_graders_environment(
    processes: Checker, submission: Path, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "abc")
    if environment == "new server":
        monkeypatch.setenv("PYTHONPATH", f"/no such folder {environment}")
    told = asked(processes, submission, "/environment")
    assert "PATH" in told or not Path("/proc/self").exists()
    assert "SECRET_OF_THE_GRADER" not in told


def test_workers_have_seeds_of_their_own(processes: Checker, submission: Path) -> None:
    """As those that a server starts: who keys what they share by `hash` is found out."""
    seeds: list[str] = []

    @contract(points=1)
    def tells(exam: Exam) -> Evidence:
        """It tells."""
        workers = exam.workers(exam.learner, 3)
        seeds.extend(exam.ask(worker, get("/seed"))[0].text for worker in workers)
        return Evidence("", "")

    submission.write_text(RIGHT + TELLS)
    processes.check(replace(toy.exercise, rubric=(tells,)), submission)
    assert len(set(seeds)) == 3, seeds


def test_the_graders_own_folder_is_no_place_to_import_from(
    processes: Checker, submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty entry of PYTHONPATH means the current folder: the process's, not the grader's."""
    elsewhere = tmp_path / "grades"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("PYTHONPATH", "", prepend=os.pathsep)
    places = asked(processes, submission, "/places")
    assert "site-packages" in places
    assert str(elsewhere) not in places


def test_an_answer_may_spawn_processes(submission: Path) -> None:
    with Checker(no_services, isolated=True) as checker:  # type: ignore[arg-type]
        assert asked(checker, submission, "/spawned") == "49"


def test_the_end_of_the_fork_server_is_not_the_learners(
    processes: Checker, submission: Path
) -> None:
    server = fork_server()
    if server is None:
        pytest.skip("nothing is forked here")

    @contract(points=1)
    def outlives(exam: Exam) -> Evidence:
        """It outlives."""
        os.kill(server.pid, signal.SIGKILL)
        for _ in range(100):  # what it has forked ends within a second
            exam.ask(exam.learner, get("/squares/7"))
            sleep(0.1)
        return Evidence("", "")

    submission.write_text(RIGHT)
    card = processes.check(replace(toy.exercise, rubric=(outlives,)), submission)
    assert card.outcome is Outcome.COULD_NOT_CHECK
    assert "not to blame" in card.results[0].observed
    assert processes.check(replace(toy.exercise, rubric=(toy.same_squares,)), submission).passed


def test_each_attempt_to_start_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper of a first attempt that failed may remove its folder while the second runs."""
    folders: list[Path] = []

    class FailsFirst(OwnedProcess):
        def __init__(self, *args: Any, remove: list[Path], **options: Any) -> None:
            folders.extend(remove)
            if len(folders) == 1:
                raise NotForked("for once")
            super().__init__(*args, remove=remove, **options)

    monkeypatch.setattr(hosting, "OwnedProcess", FailsFirst)
    answer = tmp_path / "answer.py"
    answer.write_text(RIGHT)
    host = hosting.HostProcess(answer, Limits())
    try:
        first, second = folders
        assert not first.exists()
        assert first != second
        assert (second / "work" / "submission.py").exists()
    finally:
        host.close()
    assert not second.exists()


def test_a_file_that_may_not_be_read_is_no_want_of_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, _target: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(source))

    monkeypatch.setattr(shutil, "copyfile", refuse)
    answer = tmp_path / "answer.py"
    answer.touch()
    with pytest.raises(CouldNotCheck, match=r"answer\.py cannot be read: Permission denied"):
        hosting.HostProcess(answer, Limits())
