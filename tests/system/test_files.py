"""A file is there as a whole, whatever interrupts its writing."""

import os
from pathlib import Path

import pytest

from course_app.system.files import replace_file


def test_text_and_bytes_take_the_old_ones_place(tmp_path: Path) -> None:
    path = replace_file(tmp_path / "a.txt", "ä")
    assert path.read_bytes() == "ä".encode()
    replace_file(path, b"\xff")
    assert path.read_bytes() == b"\xff"


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    assert replace_file(tmp_path / "link", "new") == tmp_path / "link"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_interrupts_it_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "results.json").write_text("old")

    def fails(_descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(type(error)) as raised:
        replace_file(tmp_path / "results.json", "new")
    if isinstance(raised.value, OSError):
        assert raised.value.filename == str(tmp_path / "results.json")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_the_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as refused:
        replace_file(tmp_path / "file/results.json", "new")
    assert refused.value.filename == str(tmp_path / "file/results.json")


def test_who_may_read_and_write_it_stays_as_it_was(tmp_path: Path) -> None:
    path = replace_file(tmp_path / "shared", "old")
    path.chmod(0o664)
    replace_file(path, "new")
    assert path.stat().st_mode & 0o777 == 0o664
