"""Whatever is handed in is found, or named with what is wrong with it; nothing else is touched."""

import os
import zipfile
from pathlib import Path

import pytest

from course_app.classroom import archives
from course_app.classroom.collect import Submission, collect
from course_app.errors import CourseError

EXERCISES = {"01": "01_baseline", "04": "04_connection_pooling"}
NOTEBOOK = "04_connection_pooling.ipynb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def found(folder: Path, only: str = "") -> dict[str, Submission]:
    work = folder.parent / "work"
    work.mkdir(exist_ok=True)
    return {each.learner: each for each in collect(folder, work, EXERCISES, only)}


def hand_in(folder: Path, learner: str, name: str = NOTEBOOK, text: str = "{}") -> Path:
    path = folder / learner / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_folder_an_archive_and_a_single_file_are_all_submissions(folder: Path) -> None:
    hand_in(folder, "Ada", f"week 4/mine/{NOTEBOOK}")
    with zipfile.ZipFile(folder / "Zoë.zip", "w") as archive:
        archive.writestr(f"deep/{NOTEBOOK}", "{}")
    (folder / f"alan_{NOTEBOOK}").write_text("{}")
    submissions = found(folder)
    assert set(submissions) == {"Ada", "Zoë", "alan"}
    assert {each.exercise for each in submissions.values()} == {"04_connection_pooling"}
    assert all(each.path and each.path.is_file() for each in submissions.values())


def test_every_exercise_of_a_learner_is_found_and_other_files_are_not(folder: Path) -> None:
    hand_in(folder, "Ada")
    hand_in(folder, "Ada", "01_baseline.py", "x = 1")
    hand_in(folder, "Ada", "notes.txt", "")
    hand_in(folder, "Ada", f".ipynb_checkpoints/{NOTEBOOK}")
    work = folder.parent / "work"
    work.mkdir()
    slugs = [each.exercise for each in collect(folder, work, EXERCISES)]
    assert slugs == ["01_baseline", "04_connection_pooling"]


def test_with_one_exercise_named_a_file_may_be_called_anything(folder: Path) -> None:
    hand_in(folder, "Ada", "final version (2).ipynb")
    assert found(folder, only="04_connection_pooling")["Ada"].path is not None


def test_of_several_files_one_is_taken_and_that_is_said(folder: Path) -> None:
    hand_in(folder, "Ada", f"old/{NOTEBOOK}")
    best = hand_in(folder, "Ada")
    submission = found(folder)["Ada"]
    assert submission.path == best
    assert "2 files" in submission.note


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.ipynb").write_text("{}")
    (folder / "Mallory").mkdir()
    (folder / "Mallory" / NOTEBOOK).symlink_to(tmp_path / "secret.ipynb")
    (folder / "Eve").symlink_to(tmp_path, target_is_directory=True)
    submissions = found(folder)
    assert submissions["Mallory"].path is None
    assert submissions["Eve"].path is None
    assert "link" in submissions["Eve"].problem


@pytest.mark.parametrize("name", ["../../evil.py", "/etc/evil.py", "..\\evil.py"])
def test_an_archive_cannot_write_outside(folder: Path, name: str) -> None:
    with zipfile.ZipFile(folder / "Mallory.zip", "w") as archive:
        archive.writestr(name, "x = 1")
    before = {path for path in folder.parent.rglob("*") if "work" not in path.parts}
    submission = found(folder)["Mallory"]
    assert submission.path is None
    assert "outside" in submission.problem
    assert {p for p in folder.parent.rglob("*") if "work" not in p.parts} == before
    assert not list((folder.parent / "work").rglob("*.py"))


def test_an_archive_that_is_far_too_large_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with zipfile.ZipFile(folder / "Bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NOTEBOOK, "0" * 5000)
    assert "too large" in found(folder)["Bomb"].problem


def test_what_is_no_archive_is_said_to_be_none(folder: Path) -> None:
    (folder / "broken.zip").write_text("no zip")
    assert "cannot be read" in found(folder)["broken"].problem


def test_an_empty_folder_says_what_belongs_there(folder: Path) -> None:
    with pytest.raises(CourseError, match="holds no submission"):
        found(folder)
    with pytest.raises(CourseError, match="not a folder"):
        found(folder / "nowhere")


def test_names_make_keys_that_are_safe_and_differ() -> None:
    names = ["=cmd|x", "a/b", "a-b", "Zoë", "Zoe", '"quoted", name', "../..", ""]
    keys = [Submission(name, "04", None).key for name in names]
    assert len(set(keys)) == len(names)
    assert all(os.path.basename(key) == key and key.isascii() for key in keys)
