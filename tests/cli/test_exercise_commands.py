"""The learner's and the maintainer's loop in a terminal, on an exercise without a database."""

import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import watchfiles
from watchfiles._rust_notify import WatchfilesRustInternalError

import course_app.exercises
from course_app.cli.answer import Handed
from course_app.errors import CourseError
from course_app.measure.statistics import Interval
from course_app.predictions import Predictions

Command = Callable[..., Any]

LESSON = """\
[[lesson]]
slug = "98_squares"
title = "Squares"
guide_section = ""
minutes = 5
points = 10
"""

EXERCISE = '''\
from fastapi import FastAPI

from course_app.grading import Exercise, Failure, WrongAnswer, contract, hygiene
from course_app.grading.failures import DifferentAnswer
from course_app.load import get, uniform

NUMBERS = get("/squares/{number}", number=uniform(1, 90_000))


class NoRefusal(Failure):
    """A number that is none is not refused."""

    hint = "Declare the type of the parameter."


@contract(points=8)
def same_squares(exam):
    """Every answer is as before."""
    return exam.same_answers(NUMBERS, 20)


@hygiene(points=2)
def refuses(exam):
    """What is no number is refused with 422."""
    return exam.same_answers(get("/squares/many", expect_status=422), 1)


def create_baseline():
    app = FastAPI()

    @app.get("/squares/{number}")
    async def square(number: int):
        return {"square": number * number}

    return app


def create_reference():
    return create_baseline()


def create_wrong():
    app = FastAPI()

    @app.get("/squares/{number}")
    async def square(number: int):
        return {"square": number}

    return app


exercise = Exercise(
    slug="98_squares",
    title="Square numbers",
    baseline=create_baseline,
    reference=create_reference,
    rubric=(same_squares, refuses),
    hints=("What is a square?", "Multiply."),
    wrong_answers=(WrongAnswer("no square", create_wrong, DifferentAnswer),),
)
'''

CONTENT = """\
# %% [markdown]
# # Squares

# %%
from fastapi import FastAPI

# %%
# blank:
def create_app() -> FastAPI:
    raise NotImplementedError("your answer")
# solution:
def create_app() -> FastAPI:
    app = FastAPI()

    @app.get("/squares/{number}")
    async def square(number: int) -> dict[str, int]:
        return {"square": number * number}

    return app
# end solution
"""

RIGHT = CONTENT.split("# solution:\n")[1].replace("# end solution", "")
RIGHT = f"from fastapi import FastAPI\n{RIGHT}"
WRONG = RIGHT.replace("number * number", "number")


@pytest.fixture(autouse=True)
def exercise(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> Path:
    """A built course with one exercise, and a learner who has done nothing; returns its module."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    package = tmp_path / "exercises"
    package.mkdir()
    (package / "squares.py").write_text(EXERCISE)
    monkeypatch.setattr(course_app.exercises, "__path__", [str(package)])
    monkeypatch.delitem(sys.modules, "course_app.exercises.squares", raising=False)
    importlib.invalidate_caches()
    with (folder / "course.toml").open("a") as contents:
        contents.write(LESSON)
    (folder / "content/exercises").mkdir()
    (folder / "content/exercises/98_squares.py").write_text(CONTENT)
    assert command("build", "98").returncode == 0
    return package / "squares.py"


@pytest.fixture
def notebook(folder: Path) -> Path:
    """The learner's notebook."""
    return folder / "exercises/98_squares.ipynb"


def solve(notebook: Path, folder: Path) -> None:
    """Write the solution into the learner's notebook, as Jupyter would save it."""
    notebook.write_text((folder / "solutions/98_squares.ipynb").read_text())


def test_a_blank_exercise_is_not_attempted_and_no_success(command: Command) -> None:
    result = command("check", "98")
    assert result.returncode == 1
    assert "not attempted" in result.stdout
    assert "check again" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_right_answer_passes_by_number_by_slug_and_by_file(
    command: Command, notebook: Path, folder: Path
) -> None:
    solve(notebook, folder)
    for name in ("98", "98_squares", "exercises/98_squares.ipynb"):
        result = command("check", name)
        assert result.returncode == 0
        assert "passed, 10 of 10 points" in result.stdout


def test_a_wrong_answer_fails_with_its_hint_and_the_next_step(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "98 (copy).py"
    path.write_text(WRONG)
    result = command("check", str(path))
    assert result.returncode == 1
    assert "Hint:" in result.stdout
    assert "Stuck? `course hint 98`" in result.stdout


def test_a_scorecard_is_json_for_programs_and_nothing_else(
    command: Command, tmp_path: Path
) -> None:
    damaged = tmp_path / "state/fastapi-performance-course/progress/98_squares.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    path = tmp_path / "98.py"
    path.write_text(WRONG)
    result = command("check", str(path), "--json")
    assert result.returncode == 1
    card = json.loads(result.stdout)
    assert card["outcome"] == "failed"
    assert card["results"][0]["failure"] == "DifferentAnswer"
    assert "was damaged" in result.stderr


def test_a_file_of_any_name_is_checked_if_the_exercise_is_named(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(RIGHT)
    result = command("check", str(path))
    assert result.returncode == 1
    assert "add `--exercise 04`" in result.stderr
    assert command("check", str(path), "--exercise", "98").returncode == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("77", "There is no lesson 77."),
        ("00", "Lesson 00 has no exercise. Choose one that has: 98."),
        ("98_gone.ipynb", "98_gone.ipynb does not exist. Name a notebook"),
        ("course.toml", "course.toml is neither a notebook nor a .py file."),
        ("content", "content is neither a notebook nor a .py file."),
    ],
)
@pytest.mark.parametrize("name_of_command", ["check", "watch"])
def test_what_cannot_be_checked_is_said_in_a_sentence(
    command: Command, name_of_command: str, name: str, sentence: str
) -> None:
    result = command(name_of_command, name)
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: {sentence}")


def test_a_missing_notebook_is_written_by_a_build_and_costs_no_progress(
    command: Command, notebook: Path
) -> None:
    command("hint", "98")
    notebook.unlink()
    result = command("check", "98")
    assert result.returncode == 1
    assert "`course build 98` writes it" in result.stderr
    assert command("build", "98").returncode == 0
    assert notebook.is_file()
    (entry,) = json.loads(command("progress", "--json").stdout)["exercises"]
    assert entry["hints"] == 1


def test_reset_asks_also_where_only_progress_is_lost(
    command: Command, notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.unlink()
    assert command("reset", "98").returncode == 0
    command("hint", "98")
    notebook.unlink()
    (tmp_path / "answer").touch()
    with (tmp_path / "answer").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        result = command("reset", "98")
    assert result.returncode == 1
    assert "in place of yours" not in result.stderr
    assert not notebook.exists()


def test_a_damaged_notebook_is_kept_and_replaced_by_reset(
    command: Command, notebook: Path, folder: Path
) -> None:
    blank = notebook.read_bytes()
    notebook.write_bytes(b"\xff\xfe")
    assert command("reset", "98", "--yes").returncode == 0
    assert notebook.read_bytes() == blank
    assert (folder / "exercises/backups/98_squares-1.ipynb").read_bytes() == b"\xff\xfe"


def test_a_hint_that_does_not_exist_is_refused_and_shows_none(command: Command) -> None:
    result = command("hint", "98", "--number", "11")
    assert result.returncode == 1
    assert "98_squares has hints 1 to 2" in result.stderr
    assert "What is a square?" in command("hint", "98").stdout


def test_a_prediction_is_printed_as_it_was_written(command: Command) -> None:
    Predictions().keep("04", "times as fast [bold]once[/]", 3, Interval(9.0, 8.0, 10.0))
    assert "[bold]once[/]" in command("progress").stdout


def test_hints_come_one_after_another_and_the_last_names_the_solution(command: Command) -> None:
    first = command("hint", "98")
    assert "What is a square?" in first.stdout
    assert "solutions/" not in first.stdout
    last = command("hint", "98")
    assert "Multiply." in last.stdout
    assert "solutions/98_squares.ipynb" in last.stdout
    assert "What is a square?" in command("hint", "98", "--number", "1").stdout


def test_progress_shows_what_was_tried_and_what_was_not(
    command: Command, notebook: Path, folder: Path
) -> None:
    assert "not tried" in command("progress").stdout
    solve(notebook, folder)
    command("check", "98")
    assert "passed" in command("progress").stdout
    (entry,) = json.loads(command("progress", "--json").stdout)["exercises"]
    assert entry == {
        "exercise": "98_squares",
        "points": 10.0,
        "possible": 10.0,
        "passed": True,
        "attempts": 1,
        "hints": 0,
        "solution_seen": False,
    }


def test_a_hint_is_no_attempt(command: Command) -> None:
    command("hint", "98")
    shown = command("progress").stdout
    assert "No exercise has been tried yet." in shown
    assert "0 / 10" in shown
    assert "not tried" in shown


def test_reset_puts_the_blank_back_and_keeps_what_was_written(
    command: Command, notebook: Path, folder: Path
) -> None:
    blank = notebook.read_text()
    for backup in ("98_squares-1.ipynb", "98_squares-2.ipynb"):
        solve(notebook, folder)
        mine = notebook.read_text()
        command("check", "98")
        result = command("reset", "98", "--yes")
        assert result.returncode == 0
        assert f"exercises/backups/{backup}" in result.stdout
        assert (folder / "exercises/backups" / backup).read_text() == mine
        assert notebook.read_text() == blank
        assert "not tried" in command("progress").stdout
    assert command("build", "--check").stdout.count("98_squares") == 0


def test_resetting_a_blank_makes_no_backup(command: Command, folder: Path) -> None:
    assert command("reset", "98", "--yes").returncode == 0
    assert not (folder / "exercises/backups").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_reset_asks_first(
    command: Command,
    notebook: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
) -> None:
    solve(notebook, folder)
    mine = notebook.read_text()
    (tmp_path / "answer").write_text(answer)
    with (tmp_path / "answer").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        result = command("reset", "98")
    assert result.returncode == code
    assert (notebook.read_text() == mine) is (code == 1)
    assert ("Nothing was changed" in result.stderr) is (code == 1)


def test_verify_proves_an_exercise_and_shows_what_wrong_answers_earned(command: Command) -> None:
    result = command("verify", "98")
    assert result.returncode == 0
    assert "3 of 3 proofs held" in result.stdout
    assert "DifferentAnswer" in result.stdout


@pytest.mark.slow
def test_verify_takes_the_notebooks_from_content_and_not_a_learners(
    command: Command, notebook: Path, folder: Path
) -> None:
    solve(notebook, folder)
    assert command("verify").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("cores", "times"), [("1", 1), ("2", 2)])
def test_verify_fails_for_a_wrong_answer_that_passes(
    command: Command, exercise: Path, monkeypatch: pytest.MonkeyPatch, cores: str, times: int
) -> None:
    """What does not hold beside others is proved again alone."""
    monkeypatch.setenv("COURSE_CORES", cores)
    monkeypatch.delenv("COURSE_POSTGRES_DSN", raising=False)
    monkeypatch.delenv("COURSE_REDIS_URL", raising=False)
    exercise.write_text(EXERCISE.replace('{"square": number}', '{"square": number * number}'))
    result = command("verify", "98", "--json")
    assert result.returncode == 1
    proofs = json.loads(result.stdout)["proofs"]
    assert [proof["held"] for proof in proofs] == [True, True, False]
    assert proofs[2]["came"] == "passed"
    assert "it is passed" in proofs[2]["problem"]
    assert result.stderr.count("it is passed") == times


@pytest.mark.slow
def test_verify_reports_a_mistake_in_the_text_and_proves_the_rest(
    command: Command, folder: Path
) -> None:
    (folder / "content/exercises/98_squares.py").write_text(CONTENT.replace("# end solution", ""))
    result = command("verify", "98")
    assert result.returncode == 1
    assert "has no `# end solution`" in result.stdout
    assert "3 of 4 proofs held" in result.stdout


def test_verify_has_nothing_to_prove_in_a_course_without_exercises(
    command: Command, folder: Path
) -> None:
    (folder / "content/exercises/98_squares.py").unlink()
    result = command("verify")
    assert result.returncode == 1
    assert "Nothing to prove" in result.stderr


def test_verify_of_no_proof_is_a_failure(command: Command) -> None:
    result = command("verify", "98", "--only", "zzzz")
    assert result.returncode == 1
    assert "No proof's name contains 'zzzz'" in result.stderr


def checks_of(said: str) -> list[str]:
    """What a watch said of each check."""
    return re.split(r"98_squares\.ipynb, \d\d:\d\d:\d\d", said)[1:]


@pytest.mark.slow
def test_watch_checks_at_once_and_after_each_save_of_other_code(
    command: Command, notebook: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = (
        lambda: notebook.write_text(notebook.read_text() + "\n"),
        lambda: solve(notebook, folder),
        notebook.unlink,
        lambda: notebook.write_text("no notebook"),
    )

    def looks(*_: object, **__: object) -> Iterator[set[str]]:
        yield set()
        for save in saves:
            save()
            yield {"a change"}
            yield set()
        raise KeyboardInterrupt

    monkeypatch.setattr(watchfiles, "watch", looks)
    result = command("watch", "98")
    blank, right, nonsense = checks_of(result.stdout)
    assert "not attempted" in blank
    assert "passed, 10 of 10 points" in right
    assert "not a notebook" in nonsense
    assert all("Waiting for the next save" in check for check in (blank, right, nonsense))
    assert result.returncode == 0
    assert "Error" not in result.stderr


@pytest.mark.parametrize("error", [OSError, WatchfilesRustInternalError])
def test_a_folder_that_cannot_be_watched_is_one_sentence(
    command: Command, notebook: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def used_up(*_: object, **__: object) -> Iterator[set[str]]:
        raise error("No space left on device")

    monkeypatch.setattr(watchfiles, "watch", used_up)
    result = command("watch", "98")
    assert result.returncode == 1
    assert f"{notebook.parent} cannot be watched (No space left" in result.stderr
    assert "WATCHFILES_FORCE_POLLING=1" in result.stderr


@pytest.mark.timeout(20)
def test_a_file_that_is_saved_or_replaced_during_a_check_is_checked_afterwards(
    command: Command, notebook: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def check(handed: Handed) -> None:
        checked.append(handed.path.read_text())
        if len(checked) == 1:
            notebook.write_text(checked[0].replace("your answer", "my answer"))
        elif len(checked) == 2:
            draft = notebook.with_suffix(".draft")
            solve(draft, folder)
            draft.replace(notebook)
        else:
            raise KeyboardInterrupt
        raise CourseError("Judged elsewhere.")

    monkeypatch.setattr(Handed, "check", check)
    assert command("watch", "98").returncode == 0
    blank, mine, solved = checked
    assert "my answer" in mine
    assert blank != solved == (folder / "solutions/98_squares.ipynb").read_text()


@pytest.mark.slow
def test_ctrl_c_during_a_check_ends_all_of_it(
    exercise: Path, notebook: Path, folder: Path, tmp_path: Path
) -> None:
    hanging = (folder / "solutions/98_squares.ipynb").read_text()
    program = ["sleep", "60.98"]
    run = f"import subprocess; subprocess.run({program})".replace('"', "'")
    notebook.write_text(hanging.replace("app = FastAPI()", run))
    code = (
        "import course_app.exercises, course_app.cli\n"
        f"course_app.exercises.__path__ = [{str(exercise.parent)!r}]\n"
        "course_app.cli.main()"
    )
    with (tmp_path / "said").open("w+") as said:
        watch = subprocess.Popen(
            [sys.executable, "-c", code, "watch", "98"],
            cwd=folder,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            family = family_with(program, watch)
            watch.send_signal(signal.SIGINT)
            assert watch.wait(20) == 0
            assert psutil.wait_procs(family, timeout=3)[1] == []
        finally:
            if watch.poll() is None:
                os.killpg(watch.pid, signal.SIGKILL)
        said.seek(0)
        assert "Traceback" not in said.read()


def family_with(program: list[str], watch: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """All that a watch has started, as soon as the answer's program is among it."""
    deadline = time.monotonic() + 60
    while watch.poll() is None and time.monotonic() < deadline:
        family = psutil.Process(watch.pid).children(recursive=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            if program in [process.cmdline() for process in family]:
                return family
        time.sleep(0.05)
    raise AssertionError("the answer was not run")
