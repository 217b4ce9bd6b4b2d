"""Whatever is handed in is found, or named with what is wrong with it; nothing else is touched."""

import io
import os
import tarfile
import tracemalloc
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


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.DIRTYPE])
def test_an_archives_index_cannot_fill_the_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(archives._Index, "left", 2**20)
    with tarfile.open(folder / "Bomb.tar.gz", "w:gz", compresslevel=1) as archive:
        if kind == tarfile.DIRTYPE:
            for number in range(3000):
                folder_entry = tarfile.TarInfo(f"d{number}")
                folder_entry.type = kind
                archive.addfile(folder_entry)
        else:
            header = tarfile.TarInfo("long")
            header.type, header.size = kind, 20 * 2**20
            archive.addfile(header, io.BytesIO(b"0" * header.size))
        archive.addfile(tarfile.TarInfo(NOTEBOOK))
    tracemalloc.start()
    problem = found(folder)["Bomb"].problem
    most_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "too large" in problem
    assert most_bytes < 10 * 2**20


def test_a_compressed_archive_is_not_decompressed_without_an_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with tarfile.open(folder / "Bomb.tgz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(NOTEBOOK))  # padded to 10 kB
    assert "too large" in found(folder)["Bomb"].problem


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_an_archive_is_opened_whatever_its_name_says_of_its_compression(
    folder: Path, compression: str
) -> None:
    with tarfile.open(folder / "Ada.tar", f"w:{compression}") as archive:  # type: ignore[call-overload]
        answer = tarfile.TarInfo(f"{'long/' * 60}{NOTEBOOK}")
        answer.size = 100_000
        archive.addfile(answer, io.BytesIO(b"1" * answer.size))
    path = found(folder)["Ada"].path
    assert path is not None
    assert path.read_bytes() == b"1" * answer.size


@pytest.mark.parametrize("suffix", [".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".TGZ"])
def test_names_of_every_compression_are_archives(folder: Path, suffix: str) -> None:
    kind = "w:xz" if "xz" in suffix else "w:bz2" if "bz2" in suffix else "w:gz"
    with tarfile.open(folder / f"Ada{suffix}", kind) as archive:
        archive.addfile(tarfile.TarInfo(NOTEBOOK))
    assert found(folder)["Ada"].path is not None


@pytest.mark.parametrize("name", ["Joe_04.rar", "Joe_04.7z", "Joe_04.gz", "Joe_04.pdf"])
def test_what_is_no_answer_and_cannot_be_opened_is_its_owners_remark(
    folder: Path, name: str
) -> None:
    (folder / name).write_bytes(b"Rar!")
    (folder / "grades.csv").write_text("the instructor's own")
    (folder / "Thumbs.db").write_text("the system's")
    submissions = found(folder)
    assert list(submissions) == ["Joe_04"]
    assert submissions["Joe_04"].path is None
    assert f"{name} is neither a notebook" in submissions["Joe_04"].problem


@pytest.mark.parametrize("name", ["users.csv.gz", "venv/data.npy.gz"])
def test_one_compressed_file_is_no_archive(folder: Path, name: str) -> None:
    answer = hand_in(folder, "Jane")
    hand_in(folder, "Jane", name)
    submission = found(folder)["Jane"]
    assert (submission.path, submission.note) == (answer, "")


def test_a_damaged_archive_costs_nothing_of_what_lies_beside_it(folder: Path) -> None:
    answer = hand_in(folder, "Jane")
    hand_in(folder, "Jane", "more/old.zip")
    submission = found(folder)["Jane"]
    assert submission.path == answer
    assert submission.note == "old.zip cannot be read: File is not a zip file."


@pytest.mark.parametrize("changed", [1e20, float("nan")])
def test_a_time_that_no_file_can_have_is_a_very_old_one(folder: Path, changed: float) -> None:
    with tarfile.open(folder / "Ada.tar", "w") as archive:
        answer = tarfile.TarInfo(NOTEBOOK)
        answer.pax_headers = {"mtime": str(changed)}
        archive.addfile(answer)
    path = found(folder)["Ada"].path
    assert path is not None
    assert path.stat().st_mtime == 0


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
