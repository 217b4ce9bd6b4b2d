"""Fixtures of the grading tests: the toy exercise is a module like those of the course."""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from submissions import TIGHT, assert_nothing_runs, no_services

from course_app.grading import Checker


@pytest.fixture(scope="session")
def threads() -> Iterator[Checker]:
    """The notebook's door."""
    with Checker(no_services) as checker:  # type: ignore[arg-type]
        yield checker


@pytest.fixture(scope="session")
def processes() -> Iterator[Checker]:
    """The instructor's door, with limits that are soon reached."""
    with Checker(no_services, isolated=True, limits=TIGHT) as checker:  # type: ignore[arg-type]
        yield checker


#: Others may grade on this machine: what comes from here has a folder of its own to import from.
MARK = f"/no such folder {secrets.token_hex()}"


@pytest.fixture
def submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where to write a submission; afterwards nothing of it may run."""
    began = time.time()
    monkeypatch.setenv("PYTHONPATH", MARK, prepend=os.pathsep)
    yield tmp_path / "submission.py"
    assert_nothing_runs(began, MARK)
