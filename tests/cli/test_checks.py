"""What ``course doctor`` says of the installed versions."""

import importlib.metadata
from pathlib import Path

import pytest

from course_app.cli.checks import packages


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_the_pinned_versions_are_as_pinned(folder: Path) -> None:
    version = importlib.metadata.version("fastapi")
    (folder / "requirements.txt").write_text(f"fastapi=={version}\n")
    found = packages()
    assert found.state == "ok"
    assert found.found.endswith("; as pinned")


def test_another_version_is_named_with_the_pinned_one(folder: Path) -> None:
    (folder / "requirements-test.txt").write_text("fastapi==0.1\n")
    found = packages()
    assert found.state == "note"
    assert "instead of 0.1" in found.found


def test_without_pins_nothing_is_said_to_be_as_pinned(folder: Path) -> None:
    """A learner's copy of the course may have none."""
    found = packages()
    assert found.state == "note"
    assert "as pinned" not in found.found
    assert str(folder) in found.advice
