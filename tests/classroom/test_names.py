"""Entries as Moodle, Canvas and GitHub Classroom name them are learners, once each."""

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from course_app.classroom import collect as collecting
from course_app.classroom.collect import Submission, collect
from course_app.cli.reset import BACKUPS
from course_app.grading.reading import Reading

EXERCISES = {"04": "04_connection_pooling", "05": "05_queries"}
ANSWER = "def create_app(postgres_dsn):\n    return make(postgres_dsn)\n"
BLANK = "def create_app(postgres_dsn):\n    ...\n"
FOUR = "04_connection_pooling.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def put(path: Path, text: str = ANSWER, age_seconds: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    stamp = path.stat().st_mtime - age_seconds
    os.utime(path, (stamp, stamp))
    return path


def found(folder: Path, only: str = "") -> list[Submission]:
    work = folder.parent / "work"
    work.mkdir(exist_ok=True)
    return collect(folder, work, EXERCISES, only)


def test_moodles_folders_are_learners_by_name_and_number(folder: Path) -> None:
    put(folder / "Doe Jane_12345_assignsubmission_file_" / FOUR)
    put(folder / "Doe Jane_12345_assignsubmission_onlinetext_" / "onlinetext.html", "Hello")
    put(folder / "Doe Jane_777_assignsubmission_file_" / FOUR)
    told = [(each.learner, each.id, each.path is not None) for each in found(folder)]
    assert told == [("Doe Jane", "12345", True), ("Doe Jane", "777", True)]
    assert len({each.key for each in found(folder)}) == 2


def test_moodles_files_without_folders_are_learners_by_name_and_number(folder: Path) -> None:
    put(folder / f"Doe Jane_12345_assignsubmission_file_{FOUR}")
    put(folder / f"O_Neill Al_77_assignsubmission_file_final_{FOUR}")
    with zipfile.ZipFile(folder / "Roe Max_9_assignsubmission_file_mine.zip", "w") as opened:
        opened.writestr(FOUR, ANSWER)
    told = [(each.learner, each.id, each.path is not None) for each in found(folder)]
    assert told == [("Doe Jane", "12345", True), ("O_Neill Al", "77", True), ("Roe Max", "9", True)]


def test_moodles_words_in_a_learners_own_file_name_are_not_the_learner(folder: Path) -> None:
    again = "Doe Jane_123_assignsubmission_file_x_999_assignsubmission_file_"
    put(folder / f"{again}{FOUR}")
    put(folder / "Doe Jane_123_assignsubmission_onlinetext_onlinetext.html", "Hello")
    (submission,) = found(folder)
    assert (submission.learner, submission.id) == ("Doe Jane", "123")
    assert (submission.exercise, submission.note) == ("04_connection_pooling", "")


def test_moodles_own_words_in_a_files_name_do_not_name_the_exercise(folder: Path) -> None:
    put(folder / "04 Doe_12345_assignsubmission_file_05_queries.py")
    (submission,) = found(folder)
    assert submission.exercise == "05_queries"


def test_canvas_files_of_two_exercises_are_one_learners_and_the_last_attempt_counts(
    folder: Path,
) -> None:
    put(folder / "doejane_12345_67890_04_connection_pooling.py")
    newest = put(folder / "doejane_12345_67999_04_connection_pooling-1.py", age_seconds=60)
    put(folder / "doejane_LATE_12345_68000_05_queries.py")
    four, five = found(folder)
    assert {four.learner, five.learner} == {"doejane"}
    assert {four.id, five.id} == {"12345"}
    assert four.path == newest
    assert "Handed in late" in five.note


def test_late_is_the_file_that_counts_and_not_the_learner(folder: Path) -> None:
    put(folder / "doe_LATE_1_10_04_connection_pooling-1.py", BLANK)
    put(folder / "doe_1_11_04_connection_pooling.py")
    put(folder / "doe_LATE_1_12_05_queries.py")
    four, five = found(folder)
    assert four.note.startswith("2 files were handed in")
    assert five.note == "Handed in late."


def test_canvas_counts_archives_that_are_handed_in_again_too(folder: Path) -> None:
    for number, suffix in enumerate(("", "-1", "-2")):
        with zipfile.ZipFile(folder / f"doe_1_{number + 10}_mine{suffix}.zip", "w") as opened:
            # Packed on one and the same day.
            opened.writestr(zipfile.ZipInfo(FOUR), f"{ANSWER}# {suffix}\n")
    (submission,) = found(folder)
    assert submission.path is not None
    assert submission.path.read_text().endswith("# -2\n")


def test_a_number_at_the_end_of_a_learners_own_file_name_is_no_attempt(folder: Path) -> None:
    put(folder / "doejane_12345_67890_week-4.py")
    newest = put(folder / "doejane_12345_67891_week-4-1.py", age_seconds=60)
    assert found(folder, only="04_connection_pooling")[0].path == newest


def test_a_year_at_the_end_of_a_name_is_no_attempt(folder: Path) -> None:
    put(folder / "doe_1_10_04_connection_pooling-2025.py", age_seconds=60)
    newest = put(folder / "doe_1_11_04_connection_pooling.py")
    assert found(folder)[0].path == newest


@pytest.mark.parametrize("name", ["04_connection_pooling-1.py", "04_connection_pooling (1).py"])
def test_elsewhere_a_number_at_the_end_of_a_name_is_no_attempt(folder: Path, name: str) -> None:
    put(folder / "Ada" / name, age_seconds=60)
    newest = put(folder / "Ada" / FOUR)
    assert found(folder)[0].path == newest


@pytest.mark.parametrize("beside", ["course.toml", "notebooks/00_start_here.py"])
def test_of_a_copy_of_the_course_only_its_exercises_are_answers(folder: Path, beside: str) -> None:
    """Nor what was put aside, or left by a run, however new it is."""
    course = folder / "Ada" / "course"
    put(course / beside, "")
    answer = put(course / "exercises" / FOUR, age_seconds=60)
    for other in ("build/report", "benchmarks", "mine", f"exercises/{BACKUPS}"):
        put(course / other / "04_connection_pooling-1.py")
    (submission,) = found(folder)
    assert (submission.path, submission.note) == (answer, "")


def test_elsewhere_in_a_copy_of_the_course_answers_count_if_the_exercise_is_blank(
    folder: Path,
) -> None:
    course = folder / "Ada"
    put(course / "course.toml", "")
    put(course / "exercises" / FOUR, BLANK)
    put(course / "exercises" / "05_queries.py", BLANK)
    answer = put(course / "answers" / FOUR, age_seconds=60)
    for ours in ("notebooks", "solutions", "content/exercises", "build/report"):
        put(course / ours / "05_queries.py")
    put(course / "answers" / "helpers.py")
    four, five = found(folder)
    assert four.path == answer
    assert four.note.endswith("It lay in answers/, not in exercises/.")
    assert (five.path, five.note) == (course / "exercises" / "05_queries.py", "")


def test_a_file_beside_the_courses_contents_is_an_answer(folder: Path) -> None:
    put(folder / "Ada" / "course.toml", "")
    put(folder / "Ada" / "exercises" / FOUR, BLANK)
    saved = put(folder / "Ada" / FOUR, age_seconds=60)
    assert found(folder)[0].path == saved


def test_exercises_beside_other_folders_are_no_copy_of_the_course(folder: Path) -> None:
    put(folder / "Ada" / "exercises" / "05_queries.py")
    put(folder / "Ada" / "mine" / FOUR)
    assert [each.exercise for each in found(folder)] == ["04_connection_pooling", "05_queries"]


def test_what_nbgrader_collected_is_an_entry_for_each_learner(folder: Path) -> None:
    for name in ("ada", "grace"):
        put(folder / name / "04_connection_pooling" / FOUR)
        put(folder / name / "04_connection_pooling" / "timestamp.txt", "2026-11-30 12:00:00 UTC")
    told = [(each.learner, each.exercise, each.path is not None) for each in found(folder)]
    assert told == [(name, "04_connection_pooling", True) for name in ("ada", "grace")]


def test_github_classrooms_prefix_is_not_a_part_of_the_names(folder: Path) -> None:
    for user in ("ada", "grace-h", "linus"):
        repository = folder / f"pooling-exercise-{user}"
        put(repository / "exercises" / FOUR)
        put(repository / "notebooks" / "00_start_here.py")
        put(repository / "notebooks" / FOUR, BLANK)
        put(repository / "solutions" / FOUR)
    submissions = found(folder, only="04_connection_pooling")
    assert [each.learner for each in submissions] == ["ada", "grace-h", "linus"]
    assert all(each.path and each.path.parent.name == "exercises" for each in submissions)
    assert not any(each.note for each in submissions)


def test_two_learners_who_share_half_a_name_keep_it(folder: Path) -> None:
    put(folder / "jean-luc" / FOUR)
    put(folder / "jean-paul" / FOUR)
    assert [each.learner for each in found(folder)] == ["jean-luc", "jean-paul"]


def test_what_was_attempted_counts_and_what_was_not_is_named(folder: Path) -> None:
    right = put(folder / "Ada" / FOUR, age_seconds=3600)
    put(folder / "Ada" / "04_connection_pooling-Copy1.py", BLANK)
    (submission,) = found(folder)
    assert submission.path == right
    assert "not 04_connection_pooling-Copy1.py" in submission.note


@pytest.mark.parametrize(("attempted", "read"), [(0, 1), (3, 4), (100, 10)])
def test_of_many_files_the_newest_few_are_read_and_fewer_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, attempted: int, read: int
) -> None:
    asked: list[Path] = []

    def reading(path: Path) -> Reading:
        asked.append(path)
        return Reading(blank=path.parent.name != str(attempted))

    monkeypatch.setattr(collecting, "read", reading)
    paths = [put(folder / "Ada" / str(age) / FOUR, age_seconds=60 * age) for age in range(40)]
    (submission,) = found(folder)
    assert submission.path == paths[attempted if attempted < 40 else 0]
    assert asked == paths[:read]
    assert submission.note.endswith(f"not {', '.join([FOUR] * 5)} and 34 more.")


def test_of_two_attempts_the_newest_counts(folder: Path) -> None:
    put(folder / "Ada" / FOUR, age_seconds=3600)
    newest = put(folder / "Ada" / "deep" / FOUR)
    assert found(folder)[0].path == newest


def test_names_in_the_bytes_of_another_system_are_read(folder: Path) -> None:
    name = os.fsdecode("Zoë".encode("cp1252"))
    try:
        put(folder / name / FOUR)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (submission,) = found(folder)
    assert submission.learner == "Zoë"
    assert submission.key.isascii()


@pytest.mark.parametrize("suffix", [".zip", ".ZIP", ".tar.gz", ".tar"])
def test_archives_of_every_kind_are_opened(folder: Path, tmp_path: Path, suffix: str) -> None:
    answer = put(tmp_path / FOUR.upper().replace("PY", "PY"), ANSWER)
    archive = folder / f"Ada{suffix}"
    if suffix.lower() == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            opened.write(answer, f"mine/{FOUR}")
    else:
        with tarfile.open(archive, "w:gz" if suffix.endswith("gz") else "w") as opened:
            opened.add(answer, f"mine/{FOUR}")
    (submission,) = found(folder)
    assert submission.learner == "Ada"
    assert submission.path is not None


def test_a_damaged_archive_is_its_owners_remark_and_nobody_elses(folder: Path) -> None:
    put(folder / "Ada" / FOUR)
    for name, content in (("Bob.zip", b"PK\x03\x04rest"), ("Eve.tar.gz", b"\x1f\x8b\x08 no")):
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "Mal.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(FOUR, ANSWER * 100)
    broken = bytearray((folder / "Mal.zip").read_bytes())
    broken[60:90] = b"\xff" * 30
    (folder / "Mal.zip").write_bytes(broken)
    submissions = {each.learner: each for each in found(folder)}
    assert submissions["Ada"].path is not None
    for name in ("Bob", "Eve", "Mal"):
        assert submissions[name].path is None
        assert "cannot be read" in submissions[name].problem


def test_with_one_exercise_set_a_number_in_front_is_only_a_number(folder: Path) -> None:
    put(folder / "Ada" / "10-final.py")
    put(folder / "Bob" / "05_queries.py")
    ada, bob = found(folder, only="04_connection_pooling")
    assert ada.path is not None
    assert bob.path is None


def test_suffixes_in_capitals_and_names_with_an_underscore_are_seen(folder: Path) -> None:
    put(folder / "_Ada" / "04_CONNECTION.PY")
    (submission,) = found(folder)
    assert submission.learner == "_Ada"
    assert submission.path is not None
