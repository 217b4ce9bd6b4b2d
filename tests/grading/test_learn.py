"""The learner's door."""

import importlib
import os
import re
import signal
import sys
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
import toy as squares

from course_app import learn
from course_app.errors import CourseError
from course_app.grading import Outcome
from course_app.system.waiting import wait_until

LESSON = """
title = "Toys"
[[lesson]]
slug = "98_squares"
title = "Squares"
guide_section = ""
minutes = 5
points = 10
"""

CONTENT = """
# %%
import given

# %%
from fastapi import FastAPI
# blank:
app = ...
# solution:

def helper() -> str:
    return "```"

# %% [markdown]
# Why so.
# %%
app = FastAPI()
# end solution
# %%
import more
"""


#: Outside of a notebook what goes on is told on standard error.
NOTHING_BUT_PROGRESS = r"(Checking 98_squares: done in [\d.]+ s\n)*"


@pytest.fixture(autouse=True)
def course(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A course of one exercise, and a learner who has done nothing yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    package = ModuleType("course_app.exercises")
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "squares.py").write_text("from toy import exercise\n")
    package.__path__ = [str(tmp_path / "exercises")]
    monkeypatch.setitem(sys.modules, "course_app.exercises", package)
    monkeypatch.delitem(sys.modules, "course_app.exercises.squares", raising=False)
    importlib.invalidate_caches()
    (tmp_path / "course.toml").write_text(LESSON)
    (tmp_path / "content/exercises").mkdir(parents=True)
    (tmp_path / "content/exercises/98_squares.py").write_text(CONTENT)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["98_squares", "98"])
def test_an_exercise_is_found_by_name_or_number(name: str) -> None:
    assert learn.load_exercise(name) is squares.exercise


@pytest.mark.parametrize("name", ["98_circles", "²", "9²"])
def test_an_unknown_exercise_is_said_in_a_sentence(name: str) -> None:
    with pytest.raises(learn.UnknownExercise, match="Did you mean 98_squares"):
        learn.load_exercise(name)


def test_a_blank_answer_is_no_attempt(capfd: pytest.CaptureFixture[str]) -> None:
    for card in (learn.check("98_squares", ...), learn.check("98_squares")):
        assert card.outcome is Outcome.NOT_ATTEMPTED
        assert card.seconds < 2
    assert learn.progress().rows() == []
    assert re.fullmatch(NOTHING_BUT_PROGRESS, capfd.readouterr().err)


def test_attempts_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    card = learn.check("98_squares", squares.create_wrong)
    assert card.failures()[0].failure == "DifferentAnswer"
    assert learn.progress().rows() == [("98_squares", "0", "10", "1", "0", "open")]
    assert "1 exercise tried, 0 passed" in str(learn.progress())
    assert str(learn.reset("98_squares")).endswith("anew.")
    assert learn.progress().rows() == []
    assert re.fullmatch(NOTHING_BUT_PROGRESS, capfd.readouterr().err)


def test_hints_come_one_after_another() -> None:
    assert learn.hint("98_squares").body == "What changes from request to request?"
    assert learn.hint("98_squares").body == "Nothing but the number."
    assert learn.hint("98_squares").body == "Nothing but the number."
    assert learn.hint("98_squares", 1).body == "What changes from request to request?"
    assert learn.progress().rows()[0][4] == "2"


def test_the_solution_is_every_cell_of_the_answer_and_no_other() -> None:
    shown = learn.solution("98_squares")
    cells = (
        'from fastapi import FastAPI\n\ndef helper() -> str:\n    return "```"',
        "# Why so.",
        "app = FastAPI()",
    )
    assert shown.body == "\n\n\n".join(cells)
    assert "````python\n" in shown._repr_mimebundle_()["text/markdown"]


def test_a_solution_that_is_not_here_is_said_and_not_noted(tmp_path: Path) -> None:
    (tmp_path / "content/exercises/98_squares.py").unlink()
    with pytest.raises(CourseError, match=r"98_squares is not here.*complete copy"):
        learn.solution("98_squares")
    assert learn.progress().rows() == []


def test_a_look_is_no_attempt() -> None:
    learn.hint("98_squares")
    learn.solution("98_squares")
    row = ("98_squares", "0", "10", "0", "1", "not tried, solution seen")
    assert learn.progress().rows() == [row]
    assert learn.progress().message == "No exercise has been tried yet."


def test_a_hint_after_the_attempt_leaves_what_was_reached() -> None:
    learn.check("98_squares", squares.create_wrong)
    learn.hint("98_squares")
    assert learn.progress().rows() == [("98_squares", "0", "10", "1", "1", "open")]


def test_what_cannot_be_kept_is_said_and_costs_no_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert learn.hint("98_squares", 2).body == "Nothing but the number."
    assert learn.solution("98_squares").body
    assert learn.check("98_squares", squares.create_wrong).failures()
    said = capsys.readouterr().out
    assert said.count("Not kept: ") == 3
    assert said.count("progress: Not a directory.") == 3
    with pytest.raises(CourseError, match="not forgotten"):
        learn.reset("98_squares")


def test_hints_are_rendered_as_what_they_are() -> None:
    assert "text/html" not in learn.hint("98_squares")._repr_mimebundle_()


def test_a_file_is_checked_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "98_squares.py"
    path.write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    card = learn.check_file(path)
    assert card.failures()[0].failure == "DifferentAnswer"
    assert "process of its own" in card.notes[-1]


def test_servers_that_were_ended_are_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "_OWN", [])
    first = learn._own_services()
    assert learn._own_services() is first
    assert first.supervisor_pid
    os.kill(first.supervisor_pid, signal.SIGKILL)
    assert wait_until(lambda: not learn._running(first), 20)
    second = learn._own_services()
    with psycopg.connect(second.postgres_dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    second.stop()
