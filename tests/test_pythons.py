"""Every Python that the course promises and this machine has: from nothing to a checked answer."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_clone import COMMAND_SECONDS, fresh_clone, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * COMMAND_SECONDS)]

OTHERS = [minor for minor in (11, 12, 13, 14) if minor != sys.version_info.minor]
#: The first; and the one that runs loops of several kinds where `asyncio.run` is patched.
LESSONS = ["00", "03"]
SOLUTION = "solutions/04_connection_pooling.ipynb"
#: Fails where it is another Python, or one without what environments need.
SUITS = "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, {}))"


def find_python(minor: int) -> str:
    """On the path or among pyenv's; a name there may stand for nothing that runs."""
    folders = [*os.get_exec_path(), *map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin"))]
    found = (shutil.which(f"python3.{minor}", path=folder) for folder in folders)
    for python in filter(None, found):
        suits = [python, "-c", SUITS.format(minor)]
        if subprocess.run(suits, capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"no Python 3.{minor} with venv here")


@pytest.mark.parametrize("minor", OTHERS)
def test_it_sets_up_runs_a_lesson_and_checks_an_answer(minor: int, tmp_path: Path) -> None:
    python, clone = find_python(minor), fresh_clone(tmp_path)
    run("make", "setup", f"PYTHON={python}", cwd=clone)
    version = run(".venv/bin/python", "-c", "import sys; print(sys.version_info.minor)", cwd=clone)
    assert int(version) == minor

    quick = os.environ | {"COURSE_PACE": "quick"}
    run(".venv/bin/course", "run", *LESSONS, cwd=clone, env=quick)
    check = (".venv/bin/course", "check", SOLUTION, "--json")
    card = json.loads(run(*check, cwd=clone, stderr=None))
    assert card["points"] == card["possible"]
