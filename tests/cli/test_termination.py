"""A command that is told to end leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from course_app.system.waiting import wait_until

PROJECT = Path(__file__).resolve().parents[2]

COMMAND = """
import sys, tempfile, time
from course_app.cli import app, main

@app.command()
def wait() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(folder, flush=True)
        time.sleep(60)

sys.argv = ["course", "wait"]
main()
"""


def test_a_terminated_command_removes_its_folders() -> None:
    process = subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    folder = Path(process.stdout.readline().strip())
    assert folder.is_dir()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert not folder.exists()
    assert process.returncode == 143


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files that other users may pass through, as /tmp is."""
    folder = Path(tempfile.mkdtemp(prefix="t"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_proofs_that_are_told_to_end_leave_nothing_behind(
    number: signal.Signals, temporary: Path
) -> None:
    process = subprocess.Popen(
        [Path(sys.executable).with_name("course"), "verify", "07", "--only", "answer"],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(temporary), "COURSE_CORES": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal sends Ctrl-C to all of them
    )
    family = psutil.Process(process.pid)

    def checks() -> bool:
        hosts = 0
        for each in family.children(recursive=True):
            with suppress(psutil.Error):  # it has ended meanwhile
                hosts += "grading.host" in " ".join(each.cmdline())
        return hosts >= 2

    assert wait_until(checks, 60)
    started = family.children(recursive=True)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert wait_until(lambda: not any(each.is_running() for each in started), 20)
    assert list(temporary.glob("course-*")) == []
