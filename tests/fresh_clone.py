"""The project as a newcomer gets it, and the commands that they type."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent

#: A liveness limit for one command, on the slowest machine that is likely.
COMMAND_SECONDS = 1800


def fresh_clone(parent: Path) -> Path:
    """The project's tracked files as they are now, in a folder whose path has a space."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    folder = parent / "a fresh clone"
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target)
    return folder


def run(*command: str, cwd: Path, stderr: int | None = subprocess.STDOUT, **options: Any) -> str:
    """What a command prints; it must not fail. Without ``stderr`` (None): its results alone."""
    done = subprocess.run(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
        **options,
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
    return done.stdout
