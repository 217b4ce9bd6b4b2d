"""``course lab`` serves the course, opened at its first lesson, and asks nothing."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab_server import course_lab, read
from nbformat.sign import NotebookNotary

Command = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any settings of Jupyter."""
    for name in [name for name in os.environ if name.startswith("JUPYTER")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def address(home: Path, folder: Path, command: Command) -> Iterator[str]:
    """A running ``course lab``."""
    assert home.is_dir()
    command("build", "00")
    with course_lab(folder) as url:
        yield url


def test_the_lab_opens_at_the_first_lesson_and_asks_nothing(address: str, folder: Path) -> None:
    where, page = read(f"{address}/")
    assert where == f"{address}/lab/tree/notebooks/00_start_here.ipynb"
    found = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found
    # Buttons of instructors' extensions would only be in a learner's way.
    assert "@jupyter/nbgrader" in json.loads(found[1])["disabledExtensions"]

    name = "@jupyterlab/apputils-extension:notification"
    settings = json.loads(read(f"{address}/lab/api/settings/{name}")[1])
    defaults = settings["schema"]["properties"]
    assert defaults["fetchNews"]["default"] == "false"
    assert defaults["checkForUpdates"]["default"] is False

    _, contents = read(f"{address}/api/contents")
    assert "course.toml" in [entry["name"] for entry in json.loads(contents)["content"]]

    notebook = nbformat.read(folder / "notebooks/00_start_here.ipynb", as_version=4)
    assert NotebookNotary().check_signature(notebook)


def test_without_a_notebook_the_lab_says_what_to_do(command: Command) -> None:
    result = command("lab", "--no-browser")
    assert result.returncode == 1
    assert "run `course build` first" in result.stderr
