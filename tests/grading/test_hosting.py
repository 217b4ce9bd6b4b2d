"""What runs an answer: a process that knows nothing of the grader, and a seed for each worker."""

from dataclasses import replace
from pathlib import Path

import pytest
import toy
from submissions import RIGHT

from course_app.grading import Checker, Evidence, Exam, contract
from course_app.load import get

TELLS = """
import os
@app.get("/seed")
async def seed():
    return hash("a key")

@app.get("/environment")
async def environment():
    with open("/proc/self/environ") as file:
        return [file.read(), dict(os.environ)]
"""


@pytest.mark.parametrize("environment", ["server of before", "new server"])
def test_an_answers_process_holds_nothing_of_the_graders_environment(
    processes: Checker, submission: Path, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "abc")
    if environment == "new server":
        monkeypatch.setenv("PYTHONPATH", f"/no such folder {environment}")
    told: list[str] = []

    @contract(points=1)
    def tells(exam: Exam) -> Evidence:
        """It tells."""
        told.append(exam.ask(exam.learner, get("/environment"))[0].text)
        return Evidence("", "")

    submission.write_text(RIGHT + TELLS)
    processes.check(replace(toy.exercise, rubric=(tells,)), submission)
    assert "PATH" in told[0] or not Path("/proc/self").exists()
    assert "SECRET_OF_THE_GRADER" not in told[0]


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
