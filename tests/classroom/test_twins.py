"""Who hands in the same code is remarked; the seed of a class is nobody's guess."""

from dataclasses import replace
from pathlib import Path

from course_app.classroom.ledger import Grade, Ledger
from course_app.classroom.report import ClassReport, write_class
from course_app.classroom.twins import with_twins
from course_app.grading import CriterionResult, Kind, Outcome, Scorecard


def grade(learner: str, fingerprint: str, outcome: Outcome = Outcome.PASSED) -> Grade:
    earned = 10.0 if outcome is Outcome.PASSED else 0.0
    result = CriterionResult("it", "It works.", Kind.CONTRACT, 10, outcome, earned=earned)
    card = Scorecard("04", "Title", (result,), 1, "2026-01-01", fingerprint=fingerprint)
    return Grade(learner, "04", learner, "digest", card, note="Handed in late.")


def test_the_same_code_is_remarked_and_costs_no_point() -> None:
    ada, bob, zoe = with_twins([grade("Ada", "x"), grade("Bob", "x"), grade("Zoe", "y")])
    assert ada.twins.startswith("The same code as Bob")
    assert "Ada" in bob.twins
    assert zoe.twins == ""
    assert {each.note for each in (ada, bob, zoe)} == {"Handed in late."}
    assert ada.points == bob.points == 10


def test_blanks_and_files_that_could_not_be_read_have_no_twins() -> None:
    blanks = [grade(name, "x", Outcome.NOT_ATTEMPTED) for name in ("Ada", "Bob")]
    unread = [grade(name, "") for name in ("Cem", "Dan")]
    assert not any(each.twins for each in with_twins([*blanks, *unread]))


def test_the_instructor_reads_who_has_the_same_code_and_learners_do_not(tmp_path: Path) -> None:
    grades = [replace(grade(name, "x"), id=name) for name in ("Ada", "Bob")]
    index = write_class(ClassReport(tuple(with_twins(grades))), tmp_path)
    told = "The same code as Bob"
    for path in (index, tmp_path / "grades.csv", tmp_path / "grades.json"):
        assert told in path.read_text(encoding="utf-8")
    for path in (tmp_path / "moodle_04.csv", tmp_path / "learners" / "Ada.html"):
        text = path.read_text(encoding="utf-8")
        assert "Handed in late." in text
        assert "Bob" not in text.replace('"Participant Bob","Bob"', "")
        assert "same code" not in text


def test_a_seed_is_new_for_each_class_and_kept_with_its_results(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "a"), Ledger(tmp_path / "b")
    assert first.seed() == first.seed() == Ledger(tmp_path / "a").seed()
    assert first.seed() != second.seed()
    assert first.seed(7) == 7 == first.seed()
