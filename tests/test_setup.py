"""What a newcomer's first commands rest on: pinned requirements, environments, `make`."""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest
import yaml
from fresh_clone import COMMAND_SECONDS, PROJECT, fresh_clone, run
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

OURS = canonicalize_name("fastapi-performance-course")


LEARNERS, ALL = "requirements.txt", "requirements-test.txt"


def declared(file: str) -> list[Requirement]:
    """What `pyproject.toml` asks for on this platform, for `ALL` with the extras."""
    with (PROJECT / "pyproject.toml").open("rb") as opened:
        project = tomllib.load(opened)["project"]
    extras = project["optional-dependencies"].values() if file == ALL else ()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [requirement for requirement in map(Requirement, lines) if applies(requirement)]


def pins_of(file: str) -> list[Requirement]:
    """All lines, for whatever platform."""
    lines = (PROJECT / file).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned(file: str) -> dict[NormalizedName, Requirement]:
    """The lines that apply to this platform."""
    return {canonicalize_name(r.name): r for r in pins_of(file) if applies(r)}


def applies(requirement: Requirement, extras: frozenset[str] = frozenset()) -> bool:
    marker = requirement.marker
    environment: dict[str, str] = {key: str(v) for key, v in default_environment().items()}
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra}) for extra in (extras or {""})
    )


def required(file: str) -> set[NormalizedName]:
    """All that the declared requirements lead to, by the metadata of what is installed."""
    found: dict[NormalizedName, set[str]] = {}
    queue = declared(file)
    while queue:
        wanted = queue.pop()
        name = canonicalize_name(wanted.name)
        if name in found and wanted.extras <= found[name]:
            continue
        extras = found.setdefault(name, set())
        extras |= wanted.extras
        lines = metadata.requires(name) or []
        needs = map(Requirement, lines)
        queue += [need for need in needs if applies(need, frozenset(extras | {""}))]
    return set(found)


files = pytest.mark.parametrize("file", [LEARNERS, ALL])


@files
def test_the_pinned_requirements_are_those_of_the_project(file: str) -> None:
    pins = pinned(file)
    for requirement in declared(file):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement} is not pinned: `make pins`"
        version = next(iter(pin.specifier)).version
        assert requirement.specifier.contains(version, prereleases=True), f"{pin} is too old"


@files
def test_nothing_is_pinned_that_nothing_needs_and_all_that_is_needed_is_pinned(file: str) -> None:
    assert set(pinned(file)) == required(file)


def test_what_learners_install_is_pinned_to_the_same_versions_for_all_others() -> None:
    everything = {str(pin) for pin in pins_of(ALL)}
    assert {str(pin) for pin in pins_of(LEARNERS)} - everything == set()


def test_learners_install_nothing_of_instructors_and_tests() -> None:
    others = {"dask", "distributed", "jupyterhub", "mypy", "nbgrader", "playwright", "ruff"}
    assert others <= set(pinned(ALL))
    assert not others & set(pinned(LEARNERS))


def test_every_pin_is_exact_and_installed_here() -> None:
    for name, pin in pinned(ALL).items():
        assert [specifier.operator for specifier in pin.specifier] == ["=="], str(pin)
        assert pin.specifier.contains(metadata.version(name), prereleases=True), str(pin)


#: The systems and the oldest releases of them that the README names.
PLATFORMS = {
    "x86_64-manylinux_2_28": {},
    "aarch64-manylinux_2_28": {},
    "aarch64-apple-darwin": {"MACOSX_DEPLOYMENT_TARGET": "12.0"},
    "x86_64-apple-darwin": {"MACOSX_DEPLOYMENT_TARGET": "12.0"},
}
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
#: What an installer says where no registry answers.
UNREACHABLE = re.compile(r"error sending request|failed to fetch|dns error|timed out", re.I)


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_nothing_must_be_compiled(platform: str, version: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--only-binary", ":all:"]
    command += ["--python-platform", platform, "--python-version", version]
    command += ["--target", str(tmp_path / "nowhere"), "-r", ALL]
    environment = os.environ | PLATFORMS[platform]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and UNREACHABLE.search(done.stderr):
        pytest.skip("no package registry answers")
    assert done.returncode == 0, done.stderr


def environment_file() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROJECT / "environment.yml").read_text())
    return content


def pip_section() -> list[str]:
    sections = [d["pip"] for d in environment_file()["dependencies"] if isinstance(d, dict)]
    assert len(sections) == 1
    lines: list[str] = sections[0]
    return lines


def test_conda_gives_python_and_pip_and_nothing_else() -> None:
    content = environment_file()
    assert set(content) == {"name", "channels", "dependencies"}
    assert content["channels"] == ["conda-forge"]
    names = [d.split("=")[0] for d in content["dependencies"] if isinstance(d, str)]
    assert names == ["python", "pip"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return fresh_clone(tmp_path)


def installed(python: Path) -> dict[NormalizedName, str]:
    """Names and versions in an environment, but for the project itself."""
    listed = run(sys.executable, "-m", "uv", "pip", "list", "--quiet", "--format", "json",
                 "--python", str(python), cwd=PROJECT)  # fmt: skip
    found = {canonicalize_name(p["name"]): p["version"] for p in json.loads(listed)}
    assert OURS in found
    return {name: version for name, version in found.items() if name != OURS}


def versions(file: str) -> dict[NormalizedName, str]:
    return {name: next(iter(pin.specifier)).version for name, pin in pinned(file).items()}


@pytest.mark.slow
@pytest.mark.timeout(COMMAND_SECONDS)
def test_the_environment_for_binder_is_the_project_s(clone: Path) -> None:
    python = clone / "binder" / "bin" / "python"
    uv = (sys.executable, "-m", "uv")
    run(*uv, "venv", "--quiet", "--python", sys.executable, str(python.parent.parent), cwd=clone)
    words = [word for line in pip_section() for word in line.split()]
    run(*uv, "pip", "install", "--quiet", "--python", str(python), *words, cwd=clone)
    assert installed(python) == versions(LEARNERS)
    assert run(str(python), "-c", "import course_app; print(course_app.__file__)", cwd=clone)


@pytest.mark.slow
@pytest.mark.timeout(3 * COMMAND_SECONDS)
def test_set_up_is_done_once_and_again_where_it_must(clone: Path) -> None:
    def make(target: str, cwd: Path = clone) -> str:
        return run("make", target, f"PYTHON={sys.executable}", cwd=cwd)

    python = clone / ".venv" / "bin" / "python"
    assert "Setting up" in make("setup")
    assert make("setup") == "", "nothing has changed"
    # Else each start compiles it anew wherever Python may not write beside its packages.
    packages = next((clone / ".venv" / "lib").glob("python*/site-packages"))
    for module in (packages / "fastapi/applications.py", clone / "course_app/lab.py"):
        assert Path(cache_from_source(str(module))).is_file()
    tools = {"uv", "setuptools"}  # the second comes with pip where no pip is at hand
    assert installed(python).keys() - tools == versions(LEARNERS).keys() - tools

    assert "Setting up" not in make("instructor")
    before = installed(python)
    assert before["nbgrader"] == versions(ALL)["nbgrader"]
    assert before.items() >= versions(LEARNERS).items()
    assert make("setup") == "", "what instructors need stays"
    assert installed(python) == before

    (clone / ".venv" / ".complete").unlink()  # as an interrupted set-up leaves it
    (clone / ".venv" / "bin" / "course").unlink()
    assert "Setting up" in make("setup")

    moved = clone.rename(clone.parent / "moved elsewhere")
    assert "check" in run(".venv/bin/course", "--help", cwd=moved), "it works where it is"
    assert "Setting up" in make("setup", moved)
    run(".venv/bin/course", "--help", cwd=moved)


@pytest.mark.parametrize("version", ["3, 9", "3, 10", "3, 15"])
def test_a_python_without_wheels_is_refused_with_what_to_do(clone: Path, version: str) -> None:
    old = clone / "old-python"
    old.write_text(
        f"#!/bin/sh\nshift\nexec '{sys.executable}' -c "
        f"\"import sys; sys.version_info = ({version}, 1); sys.version = 'another'; $1\"\n"
    )
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", "PYTHON=./old-python"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "this is another. Try: make PYTHON=python3.12 setup" in done.stderr
    assert not (clone / ".venv").exists()


def ordinary_user() -> pwd.struct_passwd:
    """Somebody without rights; the tests must run as root to become that."""
    if os.geteuid() != 0:
        pytest.skip("all the other tests run as an ordinary user already")
    return pwd.getpwnam("nobody")


def python_for(user: Mapping[str, Any]) -> str:
    """A Python that the user may run."""
    check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            subprocess.run([candidate, "-c", check], check=True, capture_output=True, **user)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip("no Python 3.11 with venv that an ordinary user may run")


@pytest.fixture
def home_of_nobody() -> Iterator[Path]:
    """A folder that belongs to an ordinary user, on a path that user can walk."""
    user = ordinary_user()
    home = Path("/var/tmp") / f"course of nobody {os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    yield home
    shutil.rmtree(home)


@pytest.mark.slow
@pytest.mark.timeout(3 * COMMAND_SECONDS)
def test_an_ordinary_user_sets_up_and_has_a_working_lab(clone: Path, home_of_nobody: Path) -> None:
    user = ordinary_user()
    place = home_of_nobody / "the course"
    shutil.copytree(clone, place)
    for path in (place, *place.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "XDG_", "UV_"))}
    options: dict[str, Any] = {
        "user": user.pw_uid,
        "group": user.pw_gid,
        "extra_groups": [],
        "env": {**kept, "HOME": str(home_of_nobody), "PATH": "/usr/local/bin:/usr/bin:/bin"},
    }
    run("make", "setup", f"PYTHON={python_for(options)}", cwd=place, **options)
    # All tests would take as long again; these need servers, a lab and a load generator.
    works = "tests/test_lab.py::test_a_measurement_counts_statements_and_sessions_exactly"
    run(".venv/bin/python", "-m", "pytest", works, cwd=place, **options)
