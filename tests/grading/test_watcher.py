"""Whatever a submission does, its limits hold: what cannot be watched is ended, too."""

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toy

from course_app.grading import CouldNotCheck, watcher
from course_app.grading.failures import CannotBeWatched, TooMuchOnDisk
from course_app.grading.hosting import HostProcess
from course_app.grading.limits import Limits
from course_app.grading.watcher import Watcher
from course_app.processes import OwnedProcess
from course_app.processes.keeper import remove_tree
from course_app.system.waiting import wait_until

NOBODY = 65_534


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


def as_nobody(folder: Path, do: Callable[[], object]) -> None:
    """Do it as a user for whom modes hold, and to whom the folder belongs."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                for path in (folder, *folder.rglob("*")):
                    os.chown(path, NOBODY, NOBODY)
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            do()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder with one in it that lets nobody in; others pass through all that is above it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as above:
        folder = Path(above, "locked")
        (folder / "inner" / "deep").mkdir(parents=True)
        (folder / "inner" / "deep" / "file").write_bytes(b"x" * 1000)
        yield folder


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_what_lies_behind_a_mode_does_not_count_as_nothing(locked: Path, mode: int) -> None:
    def look() -> None:
        (locked / "inner" / "deep").chmod(mode)
        with pytest.raises(PermissionError):
            watcher._is_fuller(locked, 999)

    as_nobody(locked.parent, look)


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_is_removed_whatever_the_modes_in_it(locked: Path, mode: int) -> None:
    def remove() -> None:
        (locked / "link").symlink_to(locked.parent)
        for folder in (locked / "inner" / "deep", locked / "inner"):
            folder.chmod(mode)
        remove_tree(os.fspath(locked))

    as_nobody(locked.parent, remove)
    assert not locked.exists()
    assert locked.parent.exists()


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


@pytest.fixture
def unstarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """A watcher that looks when it is asked to only."""
    monkeypatch.setattr(Watcher, "_watch", lambda _self: None)
    with OwnedProcess(["sleep", "60"], output=tmp_path / "output") as process:
        yield Watcher(process, tmp_path / "output", tmp_path, Limits(), ours=False)


def looks(seen: Watcher, monkeypatch: pytest.MonkeyPatch, *errors: OSError | None) -> list[Any]:
    """What looks say whose walks go wrong with these errors, one after another."""
    coming = iter(errors)

    def is_fuller(_folder: Path, _most: int) -> bool:
        if error := next(coming):
            raise error
        return False

    monkeypatch.setattr(watcher, "_is_fuller", is_fuller)
    seen._walk_seconds = -1.0  # each look walks
    return [seen.look_now() for _ in errors]


def test_looks_that_fail_now_and_then_are_no_failure(
    unstarted: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError("it ended meanwhile")
    told = looks(unstarted, monkeypatch, error, error, None, error, error, None, error, error)
    assert told == [None] * 8


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_the_graders_own_want_is_not_the_answers_fault(
    unstarted: Watcher, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    *_, failure = looks(unstarted, monkeypatch, *[OSError(number, "no more")] * 3)
    assert isinstance(failure, CouldNotCheck)
    assert "no more" in str(failure)


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
