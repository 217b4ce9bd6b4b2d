"""Whatever a submission does, its limits hold: what cannot be watched is ended, too."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import toy

from course_app.grading import watcher
from course_app.grading.failures import CannotBeWatched, TooMuchOnDisk
from course_app.grading.hosting import HostProcess
from course_app.grading.limits import Limits
from course_app.grading.watcher import Watcher
from course_app.processes import OwnedProcess
from course_app.processes.keeper import remove_tree
from course_app.system.waiting import wait_until


def make_deep(folder: Path, count: int, name: str) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(count):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


# More than Python calls functions in each other; and few, whose path is longer than a path may be.
@pytest.fixture(params=[(3000, "d"), (40, "long" * 60)], ids=["many", "long"])
def deep(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Folders in folders."""
    folder = tmp_path / "deep"
    folder.mkdir()
    make_deep(folder, *request.param)
    yield folder
    remove_tree(os.fspath(folder))
    assert not folder.exists()


def test_folders_in_folders_without_an_end_are_full(deep: Path) -> None:
    assert watcher._is_fuller(deep.parent, 10**9)


def test_what_lies_in_folders_is_added_up(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a" / "b"):
        folder.mkdir(exist_ok=True)
        (folder / "file").write_bytes(b"x" * 1000)
    (tmp_path / "a" / "link").symlink_to(tmp_path)  # is not followed round and round
    assert watcher._is_fuller(tmp_path, 2999)
    assert not watcher._is_fuller(tmp_path, 4000)
    assert not watcher._is_fuller(tmp_path / "none", 0)


def test_what_cannot_be_watched_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deeper(_folder: Path, _most: int) -> bool:
        raise RecursionError("too deep")

    monkeypatch.setattr(watcher, "_is_fuller", deeper)
    with OwnedProcess(["sleep", "60"], output=tmp_path / "output") as process:
        seen = Watcher(process, tmp_path / "output", tmp_path, Limits(), ours=False)
        assert wait_until(lambda: not process.running, 5.0)
        seen.close()
    assert isinstance(seen.failure, CannotBeWatched)
    assert "too deep" in seen.failure.observed


def test_one_look_that_fails_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []

    def once_too_early(folder: Path, _most: int) -> bool:
        looks.append(folder)
        if len(looks) == 1:
            raise OSError("a process that ended meanwhile")
        return False

    monkeypatch.setattr(watcher, "_is_fuller", once_too_early)
    with OwnedProcess(["sleep", "60"], output=tmp_path / "output") as process:
        seen = Watcher(process, tmp_path / "output", tmp_path, Limits(), ours=False)
        assert wait_until(lambda: len(looks) > 1, 5.0)
        time.sleep(0.1)
        seen.close()
        assert process.running
    assert seen.failure is None


def test_a_process_whose_folder_is_deep_ends_and_leaves_none(deep: Path) -> None:
    with OwnedProcess(["true"], remove=[deep]) as process:
        assert process.wait(10.0) == 0
    assert not deep.exists()


def test_a_submission_whose_folder_is_deep_is_ended_and_leaves_none() -> None:
    """Root's submissions have folders of their own, which the watcher need not look at."""
    deep = Path(tempfile.mkdtemp())
    make_deep(deep, 3000, "d")
    host = HostProcess(toy.create_reference, Limits())
    folder = host._folder
    try:
        deep.rename(folder / "work" / "deep")
        assert wait_until(lambda: isinstance(host._watcher.failure, TooMuchOnDisk), 5.0)
        with pytest.raises(TooMuchOnDisk):
            host.check_alive()
    finally:
        host.close()
    assert not folder.exists()
