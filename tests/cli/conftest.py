"""A course of two lessons, one of which fails, and the command as a reader runs it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from course_app.cli import main

COURSE = """\
title = "A small course"
[[lesson]]
slug = "00_start_here"
title = "Start here"
guide_section = ""
minutes = 5
points = 0
[[lesson]]
slug = "01_broken"
title = "Broken"
guide_section = ""
minutes = 5
points = 0
[[lesson]]
slug = "02_later"
title = "Not written yet"
guide_section = ""
minutes = 5
points = 0
"""

CLAIMS = """\
[[claim]]
id = "1"
says = "It is fast."
lesson = "00_start_here"
section = "Baseline"
how = "stated"
"""

VERDICT = """\
# %% [markdown]
# # Start here

# %%
from course_app.measure.claim import ClaimVerdict

ClaimVerdict("1", "holds", "It was measured.", {"it is so": True}, number="9x")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The course's folder; its path holds a space."""
    root = tmp_path / "a course"
    (root / "content/lessons").mkdir(parents=True)
    (root / "course.toml").write_text(COURSE)
    (root / "content/claims.toml").write_text(CLAIMS)
    (root / "content/lessons/00_start_here.py").write_text(VERDICT)
    (root / "content/lessons/01_broken.py").write_text("# %%\n1 / 0\n")
    return root


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run ``course`` in the course's folder, in this process: its imports take seconds."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["course", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Result(int(ended.value.code or 0), said.out, said.err)

    return run
