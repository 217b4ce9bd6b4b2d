"""Submissions that break, cheat or attack: each ends in time, earns nothing, leaves nothing."""

import os
import secrets
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import toy
from submissions import RIGHT, in_handler

from course_app.grading import Checker, Evidence, Exam, Exercise, Outcome, Scorecard, hygiene
from course_app.grading.progress import ProgressStore

LONGEST_SECONDS = 12.0


@hygiene(points=1)
def right_under_load(exam: Exam) -> Evidence:
    """Also right while and after many requests come."""
    exam.load(exam.learner, toy.NUMBERS, requests=200)
    return exam.same_answers(toy.NUMBERS, 10)


#: Without the measurement of speed, which would only make these tests slow.
QUICK = replace(toy.exercise, rubric=(toy.same_squares, right_under_load))


def check(checker: Checker, path: Path, code: str, exercise: Exercise = QUICK) -> Scorecard:
    path.write_text(code)
    began = time.monotonic()
    card = checker.check(exercise, path)
    assert time.monotonic() - began < LONGEST_SECONDS
    return card


def first_failure(card: Scorecard) -> str | None:
    return card.results[0].failure


# One for each kind of failure by default.
@pytest.mark.parametrize(
    ("code", "failure"),
    [
        pytest.param("while True: pass\n" + RIGHT, "TookTooLong", marks=pytest.mark.slow),
        pytest.param(
            "import time; time.sleep(1000)\n" + RIGHT, "TookTooLong", marks=pytest.mark.slow
        ),
        ("import os; os._exit(0)\n" + RIGHT, "Ended"),
        pytest.param(
            "import os; os.kill(os.getpid(), 9)\n" + RIGHT, "Ended", marks=pytest.mark.slow
        ),
        pytest.param("import sys; sys.exit(0)" + RIGHT, "DoesNotRun", marks=pytest.mark.slow),
        pytest.param("raise RuntimeError('oh')\n" + RIGHT, "DoesNotRun", marks=pytest.mark.slow),
        pytest.param("def create_app(:\n", "DoesNotRun", marks=pytest.mark.slow),
        # Whoever is faster: the limit that makes fork() fail, or the watcher that counts.
        pytest.param(
            "import os\nwhile True: os.fork()\n" + RIGHT,
            "TooManyProcesses DoesNotRun",
            marks=pytest.mark.slow,
        ),
        pytest.param("print('x' * 100_000_000)" + RIGHT, "TooMuchOutput", marks=pytest.mark.slow),
        ("kept = []\nwhile True: kept.append(b'x' * 10_000_000)\n" + RIGHT, "TooMuchMemory"),
        pytest.param("app = 3", "WrongKindOfAnswer", marks=pytest.mark.slow),
        pytest.param(
            "def create_app(): return dict()", "WrongKindOfAnswer", marks=pytest.mark.slow
        ),
        ("def create_app():\n    return undefined", "DoesNotStart"),
        pytest.param(
            RIGHT + "\napp.router.lifespan_context = None", "DoesNotStart", marks=pytest.mark.slow
        ),
        (in_handler("while True: pass"), "StoppedAnswering"),
        pytest.param(in_handler("time.sleep(1000)"), "StoppedAnswering", marks=pytest.mark.slow),
        # The connection is gone before the process is: either may be seen first.
        pytest.param(in_handler("os._exit(0)"), "Ended StoppedAnswering", marks=pytest.mark.slow),
        pytest.param(
            in_handler("os.killpg(0, 9)"), "Ended StoppedAnswering", marks=pytest.mark.slow
        ),
    ],
)
def test_what_breaks_off_fails_in_its_own_way(
    processes: Checker, submission: Path, code: str, failure: str
) -> None:
    card = check(processes, submission, code)
    assert card.outcome is Outcome.FAILED
    assert first_failure(card) in failure.split(), card
    assert card.points == 0
    assert card.results[0].hint


@pytest.mark.slow
def test_memory_filled_while_serving_is_noticed(processes: Checker, submission: Path) -> None:
    code = in_handler("kept.append(b'x' * 40_000_000)", "kept = []")
    card = check(processes, submission, code)
    assert first_failure(card) == "TooMuchMemory"


@pytest.mark.slow
def test_memory_shared_out_to_many_processes_is_added_up(
    processes: Checker, submission: Path
) -> None:
    child = "if os.fork() == 0: kept = b'x' * 100_000_000; time.sleep(60)"
    code = f"import os, time\nfor _ in range(4):\n    {child}\ntime.sleep(3)\n{RIGHT}"
    card = check(processes, submission, code)
    assert first_failure(card) == "TooMuchMemory", card


@pytest.mark.slow
def test_a_thousand_connections_do_no_harm_but_to_the_app(
    processes: Checker, submission: Path
) -> None:
    code = in_handler("kept.extend(socket.socket() for _ in range(1000))", "kept = []")
    card = check(processes, submission, code)
    assert card.outcome is Outcome.FAILED
    assert card.points == 0


def test_programs_left_in_the_background_end_with_the_check(
    processes: Checker, submission: Path
) -> None:
    mark = str(1000 + secrets.randbelow(10**6))
    start = f"subprocess.Popen(['sleep', '{mark}'], start_new_session=True)"
    check(processes, submission, RIGHT + f"\nimport subprocess\n{start}\n{start}\n")
    assert not [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or ())]


@pytest.mark.slow
def test_nothing_outside_can_be_signalled(processes: Checker, submission: Path) -> None:
    code = f"{RIGHT}\nimport os\nfor pid in ({os.getpid()}, os.getppid()):\n    os.kill(pid, 9)\n"
    card = check(processes, submission, code)
    assert card.results[0].outcome is Outcome.PASSED


@pytest.mark.slow
def test_replacing_the_checker_earns_nothing(processes: Checker, submission: Path) -> None:
    code = f"""{RIGHT.replace("number * number", "0")}
import builtins, json
import course_app.grading.exam as exam, course_app.grading.evidence as evidence, course_app.learn
def fine(*_, **__): return evidence.Evidence("fine", "fine")
exam.Exam.same_answers = exam.Exam.speed = course_app.learn.check = check = fine
class Yes(int):
    def __eq__(self, other): return True
builtins.int = Yes
json.dumps = lambda *_, **__: '{{"state": "passed", "points": 10}}'
"""
    card = check(processes, submission, code)
    assert card.outcome is Outcome.FAILED
    assert card.points == 0


def test_results_cannot_be_written_from_inside(
    processes: Checker, submission: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    kept = ProgressStore(results)
    kept.record(check(processes, submission, RIGHT.replace("number * number", "0")))
    before = (results / "98_squares.json").read_text()
    code = f"""{RIGHT.replace("number * number", "0")}
import pathlib
for path in pathlib.Path({str(results)!r}).glob("*"):
    try:
        path.write_text('{{"best_points": 10}}')
    except OSError:
        pass
"""
    check(processes, submission, code)
    assert (results / "98_squares.json").read_text() == before


def test_requests_of_all_kinds_look_alike(processes: Checker, submission: Path) -> None:
    """An answer that is right only for the headers it saw first passes: all are the same."""
    looks = """    looks.add(tuple(item for item in request.headers.items() if item[0] != "host"))
    if len(looks) > 1: return {}"""
    code = RIGHT.replace("(number: int)", "(number: int, request: Request)")
    code = "from fastapi import Request\nlooks = set()\n" + code.replace("    before()", looks)
    card = check(processes, submission, code)
    assert card.passed, card


@pytest.mark.slow
@pytest.mark.usefixtures("quick_pace")
def test_answers_are_looked_at_under_load_too(processes: Checker, submission: Path) -> None:
    code = """
import asyncio
from fastapi import FastAPI, HTTPException
app = FastAPI()
inside = 0

@app.get("/squares/{number}")
async def square(number: int):
    global inside
    inside += 1
    try:
        await asyncio.sleep(0.002)
        if inside > 1:
            return {"square": 0}
        if number > 100_000:
            raise HTTPException(404, "too large")
        return {"square": number * number}
    finally:
        inside -= 1
"""
    card = check(processes, submission, code, toy.exercise)
    assert card.results[0].outcome is Outcome.PASSED
    assert card.results[1].failure in ("DifferentAnswer", "WrongUnderLoad")
