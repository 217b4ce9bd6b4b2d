"""``course lab`` serves the course, opened at its first lesson, and asks nothing."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client import BlockingKernelClient
from lab_server import LIMIT_SECONDS, course_lab, read
from nbformat.sign import NotebookNotary

from course_app.authoring.contents import find_course
from course_app.cli.lab import _trust as trust

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
    config = json.loads(found[1])
    # Buttons of instructors' and authors' extensions would only be in a learner's way.
    assert {"@jupyter/nbgrader", "jupyterlab-jupytext"} <= set(config["disabledExtensions"])

    name = "@jupyterlab/apputils-extension:notification"
    settings = json.loads(read(f"{address}/lab/api/settings/{name}")[1])
    defaults = settings["schema"]["properties"]
    assert defaults["fetchNews"]["default"] == "false"
    assert defaults["checkForUpdates"]["default"] is False

    notebook = nbformat.read(folder / "notebooks/00_start_here.ipynb", as_version=4)
    assert NotebookNotary().check_signature(notebook)


@pytest.mark.slow
def test_the_file_browser_lists_what_learners_use(address: str, folder: Path) -> None:
    for name in ("exercises", "tests", "content", "build", "a_course.egg-info"):
        (folder / name).mkdir(exist_ok=True)
    _, contents = read(f"{address}/api/contents")
    names = {entry["name"] for entry in json.loads(contents)["content"]}
    assert names == {"exercises", "notebooks", "lab.txt"}
    hidden, _ = read(f"{address}/api/contents/course.toml")
    assert hidden.endswith("course.toml"), "it can be opened all the same"


def test_the_terminal_shows_the_address_and_nothing_that_worries(
    address: str, folder: Path
) -> None:
    _, answer = read(f"{address}/api/kernels", b"{}")
    kernel = json.loads(answer)["id"]
    found = list((folder.parent / "home").rglob(f"kernel-{kernel}.json"))
    assert "curve_publickey" in json.loads(found[0].read_text()), "its messages are encrypted"
    client: Any = BlockingKernelClient(connection_file=str(found[0]))
    client.load_connection_file()
    client.start_channels(hb=False)
    client.kernel_info(reply=True, timeout=LIMIT_SECONDS)
    client.stop_channels()

    lines = (folder / "lab.txt").read_text().splitlines()
    assert f"{address}/lab/tree/notebooks/00_start_here.ipynb?token=" in lines[0]
    assert "Ctrl+C" in lines[1]
    assert lines[2:] == []


def test_without_a_notebook_the_lab_says_what_to_do(command: Command) -> None:
    result = command("lab", "--no-browser")
    assert result.returncode == 1
    assert "run `course build` first" in result.stderr


def test_a_home_that_nobody_may_write_to_keeps_no_signatures(
    home: Path, folder: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("build", "00")
    (home / "file").touch()
    monkeypatch.setenv("HOME", str(home / "file"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "file/jupyter"))
    trust(find_course(folder))
