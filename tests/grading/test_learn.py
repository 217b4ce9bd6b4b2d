"""The learner's door."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import toy as squares

from course_app import learn
from course_app.grading import Outcome


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


@pytest.mark.parametrize("name", ["98_squares", "98"])
def test_an_exercise_is_found_by_name_or_number(name: str) -> None:
    assert learn.load_exercise(name) is squares.exercise


def test_an_unknown_exercise_is_said_in_a_sentence() -> None:
    with pytest.raises(learn.UnknownExercise, match="Did you mean 98_squares"):
        learn.load_exercise("98_circles")


def test_a_blank_answer_is_no_attempt(capfd: pytest.CaptureFixture[str]) -> None:
    for card in (learn.check("98_squares", ...), learn.check("98_squares")):
        assert card.outcome is Outcome.NOT_ATTEMPTED
        assert card.seconds < 2
    assert learn.progress().rows() == []
    assert capfd.readouterr().err == ""


def test_attempts_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    card = learn.check("98_squares", squares.create_wrong)
    assert card.failures()[0].failure == "DifferentAnswer"
    assert learn.progress().rows() == [("98_squares", "0", "10", "1", "0", "open")]
    assert "1 exercises" in str(learn.progress())
    assert str(learn.reset("98_squares")).endswith("anew.")
    assert learn.progress().rows() == []
    assert capfd.readouterr().err == ""


def test_hints_come_one_after_another() -> None:
    assert learn.hint("98_squares").body == "What changes from request to request?"
    assert learn.hint("98_squares").body == "Nothing but the number."
    assert learn.hint("98_squares").body == "Nothing but the number."
    assert learn.hint("98_squares", 1).body == "What changes from request to request?"
    assert learn.progress().rows()[0][4] == "2"


def test_the_solution_is_the_references_source() -> None:
    shown = learn.solution("98_squares")
    assert "def create_reference() -> FastAPI:" in shown.body
    assert "<pre>" in shown._repr_html_()


def test_a_file_is_checked_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "98_squares.py"
    path.write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    card = learn.check_file(path)
    assert card.failures()[0].failure == "DifferentAnswer"
    assert "process of its own" in card.notes[-1]
