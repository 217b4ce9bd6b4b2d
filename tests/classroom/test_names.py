"""Entries as Moodle, Canvas and GitHub Classroom name them are learners, once each."""

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from course_app.classroom.collect import Submission, collect

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
