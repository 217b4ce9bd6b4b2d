"""Progress survives restarts, damage and two notebooks at once."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from course_app.grading import CriterionResult, Kind, Outcome, ProgressStore, Scorecard
from course_app.grading.leaderboard import Leaderboard


def card(slug: str, earned: float) -> Scorecard:
    outcome = Outcome.PASSED if earned == 10 else Outcome.FAILED
    result = CriterionResult("name", "title", Kind.CONTRACT, 10, outcome, earned)
    return Scorecard(slug, "An exercise", (result,), 7, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "progress"


def test_the_best_attempt_counts_and_all_are_kept(folder: Path) -> None:
    for earned in (4, 10, 6):
        ProgressStore(folder).record(card("04_x", earned))
    standing = ProgressStore(folder).standing("04_x")
    assert (standing.best_points, standing.passed) == (10, True)
    assert [attempt.points for attempt in standing.attempts] == [4, 10, 6]
    assert standing.last_card() == card("04_x", 6)


def attempt(right: bool, speedup: float | None = None) -> Scorecard:
    outcome = Outcome.PASSED if right else Outcome.FAILED
    numbers = {} if speedup is None else {"speedup_estimate": speedup, "speedup_low": 1.0}
    results = (
        CriterionResult("right", "title", Kind.CONTRACT, 5, outcome, 5 * right),
        CriterionResult("few", "title", Kind.MECHANISM, 2, Outcome.PASSED, 2, numbers={"sql": 3}),
        CriterionResult("fast", "title", Kind.SPEED, 3, Outcome.PASSED, 3, numbers=numbers),
    )
    return Scorecard("04_x", "An exercise", results, 7, "2026-01-01T00:00:00+00:00")


def test_the_leaderboard_has_the_fastest_first_and_no_wrong_answer(folder: Path) -> None:
    store = ProgressStore(folder)
    for card_ in (attempt(True, 2.0), attempt(False, 99.0), attempt(True), attempt(True, 8.0)):
        store.record(card_)
    board = Leaderboard.of(ProgressStore(folder).standing("04_x"))
    assert [row[2] for row in board.rows()] == ["8.0", "2.0", ""]
    assert board.columns == ("attempt of", "points", "times as fast", "sql")
    assert "8.0 times" in board.message


def test_without_a_right_attempt_the_leaderboard_says_what_comes_first(folder: Path) -> None:
    ProgressStore(folder).record(attempt(False, 99.0))
    board = Leaderboard.of(ProgressStore(folder).standing("04_x"))
    assert board.rows() == []
    assert "first the answers" in board.message


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"attempts": []}', "null", '{"attempts": 3}'])
def test_a_damaged_file_is_set_aside_and_nothing_else_is_lost(folder: Path, damage: str) -> None:
    store = ProgressStore(folder)
    store.record(card("01_a", 3))
    store.record(card("04_x", 5))
    (folder / "04_x.json").write_text(damage)
    store = ProgressStore(folder)
    assert [standing.exercise for standing in store.all()] == ["01_a", "04_x"]
    assert store.standing("04_x").attempts == ()
    assert store.standing("01_a").best_points == 3
    assert "04_x" in store.messages[0]
    (kept,) = folder.glob("04_x.damaged-*")
    assert kept.read_text() == damage
    store.record(card("04_x", 7))
    assert ProgressStore(folder).standing("04_x").best_points == 7


def test_reset_forgets_one_exercise(folder: Path) -> None:
    store = ProgressStore(folder)
    store.record(card("01_a", 3))
    store.record(card("04_x", 5))
    assert store.reset("04_x")
    assert not store.reset("04_x")
    assert [standing.exercise for standing in store.all()] == ["01_a"]


def test_two_notebooks_at_once_lose_nothing(folder: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_progress import card, ProgressStore
for _ in range(20):
    ProgressStore(Path({str(folder)!r})).record(card("04_x", 1))
"""
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(ProgressStore(folder).standing("04_x").attempts) == 40


def test_a_name_cannot_lead_out_of_the_folder(folder: Path) -> None:
    ProgressStore(folder).update("../../evil", lambda standing: replace(standing, hints_shown=1))
    assert not list(folder.parent.parent.glob("evil*"))
