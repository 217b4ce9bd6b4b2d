"""Attacks on the grader's own line, files and figures: each earns what its evidence is worth.

What is left after each of them is looked at, too: the next honest answer gets all its points.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import toy
import toy_pool
from representatives import others_slow
from submissions import RIGHT, TIGHT, in_handler, no_services

from course_app.grading import Checker, Evidence, Exam, Exercise, Outcome, Scorecard, contract
from course_app.grading.reading import read
from course_app.load import get
from course_app.services import Services

WRONG = RIGHT.replace("number * number", "0")

#: Without the measurement of speed, which would only make these tests slow.
QUICK = replace(toy.exercise, rubric=(toy.same_squares, toy.refuses))


def check(checker: Checker, path: Path, code: str, exercise: Exercise = QUICK) -> Scorecard:
    path.write_text(code)
    return checker.check(exercise, path)


def assert_honest_answers_pass(checker: Checker, path: Path, exercise: Exercise = QUICK) -> None:
    card = check(checker, path, RIGHT, exercise)
    assert card.passed, card


SOCKETS_NEARBY = """
import glob, json, os, socket
for path in glob.glob("../*") + glob.glob("/tmp/course-*/*") + glob.glob("/dev/shm/*"):
    try:
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(0.5)
        line.connect(path)
        line.sendall(b'{"state": "loaded", "values": {}}\\n')
    except OSError:
        pass
for number in range(3, 64):
    try:
        line = socket.socket(fileno=os.dup(number))
        line.sendall(b'{"state": "started", "url": "http://127.0.0.1:9"}\\n')
    except OSError:
        pass
"""

OWN_ADDRESS = """
import course_app.grading.host as host, threading
def start(self, listener):
    from course_app.serving import ThreadServer
    self._server = ThreadServer(app, name="elsewhere")
    return {"state": "started", "url": self._server.url}
host.Host.start = start
"""


@pytest.mark.parametrize(
    "attack", others_slow(1, [SOCKETS_NEARBY, OWN_ADDRESS]), ids=["line", "address"]
)
def test_the_graders_line_and_address_are_its_own(
    processes: Checker, submission: Path, attack: str
) -> None:
    card = check(processes, submission, WRONG + attack)
    assert card.outcome is Outcome.FAILED, card
    assert card.points == 0
    assert_honest_answers_pass(processes, submission)


@pytest.mark.slow
def test_where_an_app_answers_is_not_for_it_to_say(processes: Checker, submission: Path) -> None:
    """It serves elsewhere and says so: where the grader listens, nobody answers."""
    card = check(processes, submission, RIGHT + OWN_ADDRESS)
    assert card.outcome is Outcome.FAILED, card
    assert card.points == 0


HARD_TO_READ = {
    "minus": "-" * 100_000 + "1\n",
    "new lines": "\n" * 200_000,
    "elif": "if x: pass\n" + "elif x: pass\n" * 100_000,
    "brackets": "(" * 100_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("code", others_slow(1, HARD_TO_READ.values()), ids=HARD_TO_READ)
def test_a_file_that_is_hard_to_read_harms_nobody(
    processes: Checker, submission: Path, code: str
) -> None:
    began = time.monotonic()
    card = check(processes, submission, code + RIGHT)
    assert card.outcome in (Outcome.FAILED, Outcome.PASSED)
    assert time.monotonic() - began < 20
    assert_honest_answers_pass(processes, submission)


def test_a_pipe_is_not_waited_for(processes: Checker, tmp_path: Path) -> None:
    pipe = tmp_path / "submission.py"
    os.mkfifo(pipe)
    card = processes.check(QUICK, pipe)
    assert card.outcome is Outcome.FAILED
    assert card.points == 0


@pytest.mark.slow
def test_who_names_the_courses_answers_is_remarked_and_keeps_the_points(
    processes: Checker, submission: Path
) -> None:
    card = check(processes, submission, f"import course_app.exercises.queries\n{RIGHT}")
    assert card.passed
    assert any("own answers" in note for note in card.notes)
    assert_honest_answers_pass(processes, submission)
    assert not any("own answers" in note for note in check(processes, submission, RIGHT).notes)


def test_a_copy_has_the_fingerprint_of_what_it_copies(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / f"{name}.py" for name in "abc")
    first.write_text(RIGHT)
    copy.write_text(
        "# mine\n" + RIGHT.replace("\n\n", "\n\n\n").replace("before()\n", "before( )\n")
    )
    other.write_text(WRONG)
    assert read(first).fingerprint == read(copy).fingerprint != read(other).fingerprint


INVENTED = """
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
        if number > 100_000:
            raise HTTPException(404, "too large")
        return {"square": 0 if inside > 2 else number * number}
    finally:
        inside -= 1
"""


@pytest.mark.slow
def test_invented_answers_are_found_where_they_are_counted(
    processes: Checker, submission: Path
) -> None:
    @contract(points=10)
    def counted(exam: Exam) -> Evidence:
        """Counted answers are compared."""
        exam.same_answers(toy.NUMBERS, 10)
        exam.count(exam.learner, toy.NUMBERS, requests=100, concurrency=8, same=True)
        return Evidence("", "")

    exercise = replace(toy.exercise, rubric=(counted,))
    card = check(processes, submission, INVENTED, exercise)
    assert card.results[0].failure == "DifferentAnswer", card
    assert_honest_answers_pass(processes, submission, exercise)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_pace")
def test_invented_answers_are_found_where_they_are_timed(
    processes: Checker, submission: Path
) -> None:
    exercise = replace(toy.exercise, rubric=(toy.same_squares, toy.faster))
    card = check(processes, submission, INVENTED, exercise)
    assert card.results[0].outcome is Outcome.PASSED
    assert card.results[1].failure == "DifferentAnswer", card


def cpu_of_ten_requests(checker: Checker, path: Path, code: str) -> float:
    """CPU milliseconds of a request, as the check sees it."""
    seen = []

    @contract(points=10)
    def counted(exam: Exam) -> Evidence:
        """It is counted."""
        before = exam.learner.cpu_seconds()
        for _ in range(10):
            exam.ask(exam.learner, get("/squares/7"))
        seen.append((exam.learner.cpu_seconds() - before) * 100)
        return Evidence("", "")

    path.write_text(code)
    card = checker.check(replace(toy.exercise, rubric=(counted,)), path)
    assert card.passed, card
    return seen[0]


WORK = "import hashlib; [hashlib.sha256(bytes(2**20)).digest() for _ in range(60)]"


@pytest.mark.slow
@pytest.mark.parametrize(
    "child",
    [
        pytest.param(
            f"subprocess.run([sys.executable, '-S', '-c', {WORK!r}])", marks=pytest.mark.slow
        ),
        # An orphan: whoever started it has gone before it ends.
        f"subprocess.run(['sh', '-c', 'exec \"$0\" -S -c \"$1\" &', sys.executable, {WORK!r}])\n"
        "time.sleep(0.3)",
    ],
    ids=["children", "orphans"],
)
def test_cpu_of_children_that_have_ended_is_counted(
    processes: Checker, submission: Path, child: str
) -> None:
    plain = cpu_of_ten_requests(processes, submission, RIGHT)
    code = in_handler(child, "import subprocess")
    assert cpu_of_ten_requests(processes, submission, code) > 3 * plain + 20


@pytest.mark.slow
def test_who_is_not_measured_stands_still(processes: Checker, submission: Path) -> None:
    seen = []

    @contract(points=10)
    def frozen(exam: Exam) -> Evidence:
        """Nothing runs."""
        exam.ask(exam.learner, get("/squares/7"))
        with exam.learner_frozen():
            before = exam.learner.cpu_seconds()
            time.sleep(0.5)
            seen.append(exam.learner.cpu_seconds() - before)
        before = exam.learner.cpu_seconds()
        time.sleep(0.5)
        seen.append(exam.learner.cpu_seconds() - before)
        exam.ask(exam.learner, get("/squares/7"))
        return Evidence("", "")

    burn = "import subprocess\nsubprocess.Popen([sys.executable, '-S', '-c', 'while True: pass'])"
    code = in_handler("pass", burn)
    submission.write_text(code)
    card = processes.check(replace(toy.exercise, rubric=(frozen,)), submission)
    assert card.passed, card
    assert seen[0] < 0.05 < seen[1]


@pytest.mark.slow
def test_ten_thousand_sockets_are_the_apps_own_trouble(
    processes: Checker, submission: Path
) -> None:
    open_many = "for _ in range(10_000): kept.append(socket.create_connection(('127.0.0.1', port)))"
    code = in_handler(open_many, "kept = []\nport = 1")
    card = check(processes, submission, code)
    assert card.outcome is Outcome.FAILED
    assert card.points == 0
    assert_honest_answers_pass(processes, submission)


@pytest.mark.slow
def test_a_body_without_an_end_is_no_answer(submission: Path) -> None:
    code = """
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()

@app.get("/squares/{number}")
async def square(number: int):
    async def parts():
        while True:
            yield b"x" * 100_000
    return StreamingResponse(parts())
"""

    @contract(points=10)
    def overlapping(exam: Exam) -> Evidence:
        """Both are answered."""
        exam.overlap(exam.learner, [get("/squares/7"), get("/squares/8")])
        return Evidence("", "")

    exercise = replace(toy.exercise, rubric=(overlapping,))
    with Checker(no_services, isolated=True, limits=TIGHT) as checker:  # type: ignore[arg-type]
        began = time.monotonic()
        card = check(checker, submission, code, exercise)
        assert card.outcome is Outcome.FAILED, card
        assert time.monotonic() - began < 20
        assert_honest_answers_pass(checker, submission, exercise)


def test_what_is_no_part_of_the_course_cannot_be_read(
    processes: Checker, submission: Path, tmp_path: Path
) -> None:
    """Class mates' answers and results, homes, passwords: as root, too."""
    secret = tmp_path / "results" / "points.json"
    secret.parent.mkdir()
    secret.write_text("{}")
    places = [str(secret), "/etc/shadow", "/root/.bashrc", str(Path("pyproject.toml").absolute())]
    code = f"""{RIGHT}
for place in {places!r}:
    try:
        open(place).read()
    except OSError:
        continue
    raise SystemExit(place)
import subprocess, sys, zoneinfo, multiprocessing
zoneinfo.ZoneInfo("UTC")
subprocess.run([sys.executable, "-c", "import ssl, course_app.errors"], check=True)
multiprocessing.Lock()
seen = True
def before():
    assert seen
"""
    card = check(processes, submission, code)
    if not any("files" in note and "refuses" not in note for note in card.notes):
        pytest.skip("this system has no wall around files")
    assert card.passed, card


FILL = """
import os
def fill(folder):
    for number in range(40):
        with open(f"{folder}/full-{number}", "wb") as file:
            file.write(bytes(10_000_000))
for folder in (".", "/dev/shm"):
    try:
        fill(folder)
    except OSError:
        pass
"""


@pytest.mark.slow
def test_room_on_disk_and_in_shared_memory_is_bounded_and_given_back(
    processes: Checker, submission: Path
) -> None:
    before = set(os.listdir("/dev/shm"))
    free = os.statvfs("/dev/shm").f_bavail
    check(processes, submission, RIGHT + FILL)
    left = [name for name in set(os.listdir("/dev/shm")) - before if name.startswith("full")]
    assert not left or os.geteuid() != 0
    assert os.statvfs("/dev/shm").f_bavail > free - 100_000_000 // 4096
    assert_honest_answers_pass(processes, submission)


@pytest.mark.slow
def test_a_database_that_is_filled_ends_its_app(services: Services, submission: Path) -> None:
    code = """
import psycopg, time
def create_app(postgres_dsn):
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE filler (text text)")
        for _ in range(500):
            connection.execute(
                "INSERT INTO filler SELECT repeat(md5(n::text), 30) FROM generate_series(1, 9999) n"
            )
    time.sleep(60)
"""
    limits = replace(TIGHT, database_bytes=400 * 2**20, start_seconds=20)
    submission.write_text(code)
    with Checker(lambda: services, isolated=True, limits=limits) as checker:
        card = checker.check(toy_pool.exercise, submission)
    assert card.results[0].failure == "TooMuchOnDisk", card
    assert card.points == 0
