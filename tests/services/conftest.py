"""Starts labs in processes of their own, and failing starts."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from service_labs import LAB, STAY, LabProcess, start_python


@pytest.fixture
def start_lab() -> Iterator[Callable[..., LabProcess]]:
    """Starts labs; whatever is left of them is ended after the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(
        *, dataset: bool = False, env: Mapping[str, str] | None = None, then: str = STAY
    ) -> LabProcess:
        script = LAB.format(dataset=dataset) + then
        processes.append(start_python(script, env={**os.environ, **(env or {})}))
        return LabProcess(processes[-1])

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def failure_of() -> Callable[..., str]:
    """The sentence a learner reads when services do not start in a process like this."""

    def sentence(*, before: str = "", env: Mapping[str, str] | None = None) -> str:
        script = f"""
import sys
{before}
from course_app.errors import CourseError
from course_app.services import start_services
try:
    start_services().stop()
except CourseError as error:
    print(error)
else:
    print("it started")
"""
        process = start_python(script, env={**os.environ, **(env or {})})
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output.strip()

    return sentence


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder with a space in its name that every user can reach (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="with space ", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
