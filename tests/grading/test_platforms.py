"""A right answer gets its points on every system, or "could not check": never less."""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toy
from submissions import RIGHT

from course_app.classroom.grade import one_at_a_time
from course_app.grading import Checker, CouldNotCheck, Evidence, Exam, Exercise, Outcome, contract
from course_app.grading.hosting import HostProcess
from course_app.grading.limits import Limits
from course_app.system import usage, users

HERE = Path(__file__).parent
CAP_DAC_READ_SEARCH = 2
PR_CAPBSET_DROP = 24
NO_NAME = 61_234

#: Checks a file with the toy's contract alone, in a process of its own.
CHECK = f"""
import json, sys
sys.path.insert(0, {str(HERE)!r})
from dataclasses import replace
from pathlib import Path
import toy
from submissions import no_services
from course_app.grading import Checker
exercise = replace(toy.exercise, rubric=(toy.same_squares,))
with Checker(no_services, isolated=True) as checker:
    card = checker.check(exercise, Path(sys.argv[1]))
(result,) = card.results
print(json.dumps([str(result.outcome), result.observed, result.hint, card.notes]))
"""

#: Linux without what only Linux has, and with what macOS refuses.
ELSEWHERE = """
import resource
from course_app.system import platforms
platforms.is_linux = lambda: False
allowed = resource.setrlimit
def setrlimit(what, bounds):
    if what in (resource.RLIMIT_AS, resource.RLIMIT_NPROC):
        raise ValueError("current limit exceeds maximum limit")
    allowed(what, bounds)
resource.setrlimit = setrlimit
"""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")


@pytest.fixture
def answer() -> Iterator[Path]:
    """A right answer where every user can read it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="answer-") as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "submission.py")
        path.write_text(RIGHT)
        yield path


def check(answer: Path, *, before: Path | None = None, **options: Any) -> list[Any]:
    """Outcome, observed, hint and notes of the answer; ``before`` holds a sitecustomize.py."""
    command = [*options.pop("through", ()), sys.executable, "-c", CHECK, str(answer)]
    env = {**os.environ, **options.pop("env", {})}
    if before is not None:
        env["PYTHONPATH"] = str(before)
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=100, **options
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def customized(folder: Path, code: str) -> Path:
    """A private folder whose code every Python process begins with."""
    (folder / "sitecustomize.py").write_text(code)
    return folder


def drop_read_search() -> None:
    """What Docker does to root."""
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0) == 0


@pytest.mark.slow
def test_where_limits_are_refused_others_hold(answer: Path, tmp_path: Path) -> None:
    outcome, _, _, notes = check(answer, before=customized(tmp_path, ELSEWHERE))
    assert outcome == Outcome.PASSED
    assert "(limits)" in notes[1]
    assert "address space" in notes[2]


@pytest.mark.slow
@root_only
def test_root_stays_root_where_another_user_could_not_read_python(
    answer: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    outcome, _, _, notes = check(
        answer, before=customized(tmp_path, ""), preexec_fn=drop_read_search
    )
    assert outcome == Outcome.PASSED
    assert "a user of its own" in notes[2]


@pytest.mark.slow
def test_root_stays_root_where_there_is_no_other_user(answer: Path) -> None:
    alone = ("unshare", "--user", "--map-root-user")
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not make a user namespace")
    outcome, _, _, notes = check(answer, through=alone)
    assert outcome == Outcome.PASSED
    assert "a user of its own" in notes[2]


@root_only
def test_root_becomes_another_user_where_it_can(answer: Path) -> None:
    _, _, _, notes = check(answer)
    assert "user" in notes[1]
    assert len(notes) == 2


@pytest.mark.slow
def test_a_long_name_of_the_temporary_folder_does_no_harm(answer: Path) -> None:
    folder = answer.parent / ("long" * 30)
    folder.mkdir()
    outcome, *_ = check(answer, env={"TMPDIR": str(folder)})
    assert outcome == Outcome.PASSED


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(
            "import sys\nif any('grading.host' in word for word in sys.orig_argv[-5:]):\n"
            "    sys.modules['course_app.grading.source'] = None",
            marks=pytest.mark.slow,
        ),
        "import course_app.system.landlock as walls\n"
        "def confine(*_): raise OSError(1, 'not permitted')\n"
        "walls.confine = confine",
    ],
    ids=["our modules cannot be imported", "walls cannot be raised"],
)
def test_what_goes_wrong_before_the_answers_code_is_not_the_learners(
    answer: Path, tmp_path: Path, broken: str
) -> None:
    outcome, observed, hint, _ = check(answer, before=customized(tmp_path, broken))
    assert outcome == Outcome.COULD_NOT_CHECK
    assert "not to blame" in observed
    assert hint == ""


def test_no_room_for_an_answer_is_not_the_learners(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(CouldNotCheck, match="TMPDIR"):
        HostProcess(None, Limits())


def only(check: Callable[[Exam], Evidence], **changes: Any) -> Exercise:
    from dataclasses import replace

    return replace(toy.exercise, rubric=(contract(points=1)(check),), **changes)


@pytest.mark.slow
def test_where_our_own_answer_does_not_start_either_nobody_is_to_blame(
    processes: Checker, threads: Checker
) -> None:
    def answers(exam: Exam) -> Evidence:
        """It answers."""
        exam.ask(exam.learner, toy.NUMBERS)
        return Evidence("", "")

    for door in (processes, threads):
        here = door.check(only(answers, reference=toy_fails_here), toy_fails_here)
        assert here.outcome is Outcome.COULD_NOT_CHECK
        assert "reference" in here.results[0].observed
        elsewhere = door.check(only(answers), toy_fails_here)
        assert elsewhere.outcome is Outcome.FAILED


def toy_fails_here() -> object:
    """As an app that needs what this machine does not have."""
    raise OSError("no such device")


@pytest.mark.slow
def test_unknown_cpu_is_no_measurement(processes: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "cpu_seconds", lambda _pid: None)
    seen = []

    def counts(exam: Exam) -> Evidence:
        """It counts."""
        seen.append("CPU" in exam.count(exam.learner, toy.NUMBERS, requests=20))
        return exam.speed(toy.NUMBERS, concurrency=2, metric="cpu")

    card = processes.check(only(counts), toy.create_reference)
    assert seen == [False]
    assert card.outcome is Outcome.COULD_NOT_CHECK
    assert "CPU time" in card.results[0].observed


@pytest.mark.slow
def test_a_clock_that_stands_still_is_no_measurement(
    processes: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "cpu_seconds", lambda _pid: 1.0)

    def fast(exam: Exam) -> Evidence:
        """It is fast."""
        return exam.speed(toy.NUMBERS, concurrency=2, metric="cpu")

    card = processes.check(only(fast), toy.create_reference)
    assert card.outcome is Outcome.COULD_NOT_CHECK


@root_only
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_second_user_can_grade_too(
    monkeypatch: pytest.MonkeyPatch, answer: Path, umask: int
) -> None:
    answer.parent.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(answer.parent))
    before = os.umask(umask)
    try:
        with one_at_a_time():
            pass
    finally:
        os.umask(before)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            users.become(NO_NAME)
            with one_at_a_time():
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
