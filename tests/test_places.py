"""The places that open the repository: what their files ask for is there, and is asked for rightly.

No container engine, Binder or runner is at hand in a test: these read the files and hold them
against the project.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml
from typer.main import get_command

from course_app.cli import app

PROJECT = Path(__file__).resolve().parent.parent
DOCKERFILE = PROJECT / "docs" / "Dockerfile"

#: Without these a major version is not pinned, or too much is.
ACTION = re.compile(r"actions/[\w-]+@v\d+")
PLACEHOLDER = "OWNER/REPOSITORY"


def targets_of_make() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def assert_commands_exist(script: str) -> None:
    """Each `make TARGET` and each `course COMMAND` of a script is one that the project has."""
    made = re.findall(r"\bmake +([a-z][\w-]*)", script)
    called = re.findall(r"\bcourse +([a-z][\w-]*)", script)
    assert set(made) <= targets_of_make(), made
    assert set(called) <= set(getattr(get_command(app), "commands", {})), called
    assert made or called or "apt-get" in script, f"nothing of the project: {script}"


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    return [name for name in listed.stdout.split("\0") if name]


# --- dev containers and Codespaces


def test_the_dev_container_sets_up_what_its_editor_uses() -> None:
    text = (PROJECT / ".devcontainer" / "devcontainer.json").read_text()
    container = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    assert not container["image"].endswith(":latest")
    assert ":" in container["image"]
    assert container["hostRequirements"]["cpus"] >= 2
    assert container["forwardPorts"] == [8888]
    assert_commands_exist(container["postCreateCommand"])
    assert "make setup" in container["postCreateCommand"]
    editor = container["customizations"]["vscode"]
    assert {"ms-python.python", "ms-toolsai.jupyter"} <= set(editor["extensions"])
    interpreter = editor["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"


# --- Binder


def test_binder_finds_the_environment() -> None:
    """Each of these would make it ignore `environment.yml` beside them, without a word."""
    assert (PROJECT / "environment.yml").is_file()
    assert not [name for name in ("binder", ".binder", "Dockerfile") if (PROJECT / name).exists()]


def test_binder_prepares_the_data_and_trusts_the_notebooks() -> None:
    script = PROJECT / "postBuild"
    assert os.access(script, os.X_OK)
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = script.read_text()
    code = "\n".join(re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines())
    assert_commands_exist(code)
    assert "course prepare" in code
    (trusted,) = re.findall(r"jupyter trust (.+)", code)
    assert {Path(p).parent.name for p in trusted.split()} == {"notebooks", "exercises", "solutions"}
    assert all(list(PROJECT.glob(pattern)) for pattern in trusted.split())


def test_binder_trusts_what_there_is(tmp_path: Path) -> None:
    """Somebody may leave a folder out."""
    for name in ("course", "jupyter"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\necho "$(basename "$0") $*"\n')
        program.chmod(0o755)
    for name in ("notebooks/00.ipynb", "exercises/01.ipynb"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    shutil.copy(PROJECT / "postBuild", tmp_path)
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        ["./postBuild"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "course prepare",
        "jupyter trust notebooks/00.ipynb exercises/01.ipynb",
    ]


def test_badges_name_one_repository_and_a_notebook_that_exists() -> None:
    lines = (PROJECT / "README.md").read_text().splitlines()
    (codespaces,) = [line for line in lines if line.startswith("[codespaces]:")]
    (binder,) = [line for line in lines if line.startswith("[binder]:")]
    (repository,) = re.findall(r"codespaces\.new/([\w.-]+/[\w.-]+)", codespaces)
    assert f"mybinder.org/v2/gh/{repository}/HEAD?" in binder
    owner, name = repository.split("/")
    assert f"[site]: https://{owner}.github.io/{name}/" in lines
    (notebook,) = re.findall(r"urlpath=lab/tree/(\S+)", binder)
    assert (PROJECT / notebook).is_file()
    named = [number for number, line in enumerate(lines) if PLACEHOLDER in line]
    if repository == PLACEHOLDER:
        assert named == list(range(named[0], named[0] + len(named))), "it stands in one place"
        assert lines[named[0]].startswith("<!--"), "a comment says what to write there"
    else:
        assert not named


# --- continuous integration


@pytest.fixture
def workflow() -> dict[Any, Any]:
    path = PROJECT / ".github" / "workflows" / "ci.yml"
    content: dict[Any, Any] = yaml.safe_load(path.read_text())
    return content


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_workflow_may_only_read_and_gives_way_to_a_newer_run(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert not [job for job in workflow["jobs"].values() if "permissions" in job]
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())
    checkouts = [step for step in steps(workflow) if "checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_the_workflow_s_actions_are_pinned_by_major_version(workflow: dict[Any, Any]) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [name for name in used if not ACTION.fullmatch(name)] == []


def test_the_workflow_calls_what_the_project_has(workflow: dict[Any, Any]) -> None:
    runs = [step["run"] for step in steps(workflow) if "run" in step]
    assert {"make check", "make test", "make test-slow"} <= set(runs)
    for script in runs:
        assert_commands_exist(script)


def test_the_workflow_tests_all_systems_and_the_oldest_python(workflow: dict[Any, Any]) -> None:
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    runners = " ".join(matrix["runner"])
    assert re.search(r"ubuntu-[\d.]+( |$)", runners)
    assert re.search(r"ubuntu-[\d.]+-arm", runners)
    assert re.search(r"macos-\d+( |$)", runners), "without `-intel`: arm64"
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert f">={matrix['python'][0]}" in project["requires-python"]


def test_the_long_proofs_run_once_a_week_and_leave_pictures(workflow: dict[Any, Any]) -> None:
    proofs = workflow["jobs"]["proofs"]
    # YAML reads the key `on` as true.
    (schedule,) = workflow[True]["schedule"]
    *_, month, weekday = schedule["cron"].split()
    assert month == "*"
    assert weekday.isdigit()
    assert "schedule" in proofs["if"]
    assert "schedule" not in workflow["jobs"]["test"]["if"]
    (upload,) = [step for step in proofs["steps"] if "upload-artifact" in step.get("uses", "")]
    assert upload["if"] == "failure()"
    browser = (PROJECT / "tests" / "browser" / "conftest.py").read_text()
    folders = upload["with"]["path"].strip("/").split("/")
    assert " / ".join(f'"{folder}"' for folder in folders) in browser


def test_the_site_is_published_from_main_with_no_more_rights_than_that_takes() -> None:
    text = (PROJECT / ".github" / "workflows" / "site.yml").read_text()
    workflow: dict[Any, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True]["push"]["branches"] == ["main"]
    assert "pull_request" not in workflow[True], "a stranger's change is not published"
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == {"contents": "read", "pages": "write", "id-token": "write"}
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert [name for name in used if not ACTION.fullmatch(name)] == []
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make site"]
    assert "site" in targets_of_make()


# --- grading in a container


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and its words, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def words(instruction: str) -> list[str]:
    return [rest for word, rest in instructions() if word == instruction]


def test_the_image_grades_as_a_user_who_has_a_name() -> None:
    (user,) = words("USER")
    assert user not in ("root", "0")
    created = [
        rest for rest in words("RUN") if f'useradd --create-home --uid "$UID" {user}' in rest
    ]
    assert created, "PostgreSQL refuses a user id without a passwd entry"
    order = [word for word, _ in instructions()]
    assert order.index("USER") < order.index("COPY") < len(order) - 1 - order[::-1].index("RUN")
    assert all("apt-get" not in rest for word, rest in instructions()[order.index("USER") :])


def test_the_image_is_pinned_and_its_sources_and_commands_exist() -> None:
    (base,) = words("FROM")
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", base)
    for copied in words("COPY"):
        *sources, target = [word for word in copied.split() if not word.startswith("--")]
        assert target == "."
        assert all((PROJECT / source).exists() for source in sources)
    assert "--chown=grader" in words("COPY")[0], "set-up writes into the course's folder"
    for script in words("RUN"):
        assert_commands_exist(script)
    (entry,) = words("ENTRYPOINT")
    assert json.loads(entry) == [".venv/bin/course", "grade"]
    assert json.loads(*words("CMD"))[1] == "--out"


def test_the_image_leaves_out_no_file_of_the_project() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert {".git", ".venv", "build"} <= set(patterns)
    wrong = [(name, p) for name in tracked() for p in patterns if is_ignored(name, p)]
    assert not wrong


def is_ignored(name: str, pattern: str) -> bool:
    """A pattern of `.dockerignore` for a path from the top, or with `**/` for a name anywhere."""
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern.removeprefix("**/")) for part in PurePath(name).parts)
    return name == pattern or name.startswith(f"{pattern}/")
