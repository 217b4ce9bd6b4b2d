"""Temporary folders go with their owner, or, if that was killed, with the next one's."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from course_app.system.private_folders import _OWNER as OWNER
from course_app.system.private_folders import temporary_folder

LONG_AGO = (0, 0)
HELD = """
import sys, time
from course_app.system.private_folders import temporary_folder

with temporary_folder("course-test-") as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner(base: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has a folder, made long ago."""
    environment = {**os.environ, "TMPDIR": str(base)}
    with subprocess.Popen(
        [sys.executable, "-c", HELD], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        os.utime(Path(process.stdout.readline().strip()) / OWNER, LONG_AGO)
        yield process
        process.kill()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_it_is_gone_afterwards(base: Path, error: type[BaseException] | None) -> None:
    try:
        with temporary_folder("course-test-") as folder:
            (folder / "file").touch()
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    assert list(base.iterdir()) == []


def test_what_a_killed_owner_left_goes_with_the_next_one_and_no_living_ones(
    base: Path, owner: subprocess.Popen[str]
) -> None:
    with temporary_folder("course-test-") as mine:
        assert len(list(base.iterdir())) == 2
    owner.kill()
    owner.wait()
    (base / "course-test-new").mkdir()
    (base / "course-test-new" / OWNER).touch()  # who has not come to lock it
    (base / "course-test-2026").mkdir()  # somebody's own
    (base / "course-test-file").touch()
    for path in ("course-test-2026", "course-test-file"):
        os.utime(base / path, LONG_AGO)
    with temporary_folder("course-test-") as mine:
        left = {path.name for path in base.iterdir()}
        assert left == {mine.name, "course-test-new", "course-test-2026", "course-test-file"}
