"""Each place is known by the marks that it leaves."""

from pathlib import Path

import pytest

from course_app.cli import checks
from course_app.system import place
from course_app.system.place import Place, find_place

#: /proc/1/cgroup of engines that leave no file: cgroup 1, and a pod's cgroup 2 seen from outside.
DOCKER_CGROUP = "12:cpuset:/docker/4f0c\n0::/docker/4f0c\n"
POD_CGROUP = "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-1.scope\n"


def machine(root: Path, files: dict[str, str]) -> Path:
    """A root folder with nothing but these files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("expected", "environ", "files"),
    [
        (place.COLAB, {"COLAB_RELEASE_TAG": "release-colab"}, {".dockerenv": ""}),
        (
            place.BINDER,
            {"BINDER_LAUNCH_HOST": "https://a.hub/", "JUPYTERHUB_SERVICE_PREFIX": "/user/x/"},
            {"proc/1/cgroup": POD_CGROUP},
        ),
        (place.CODESPACES, {"CODESPACES": "true"}, {".dockerenv": ""}),
        (place.ACTIONS, {"GITHUB_ACTIONS": "true", "CI": "true"}, {}),
        (place.HUB, {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}, {".dockerenv": ""}),
        (place.CONTAINER, {}, {".dockerenv": ""}),
        (place.CONTAINER, {}, {"run/.containerenv": ""}),
        (place.CONTAINER, {"container": "podman"}, {}),
        (place.CONTAINER, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}),
        (place.CONTAINER, {}, {"proc/1/cgroup": DOCKER_CGROUP}),
        (place.CONTAINER, {}, {"proc/1/cgroup": POD_CGROUP}),
        (place.WSL, {"WSL_DISTRO_NAME": "Ubuntu"}, {}),
        (place.WSL, {}, {"proc/version": "Linux version 6.6.87.2-microsoft-standard-WSL2"}),
        (place.LINUX, {}, {"proc/1/cgroup": "0::/init.scope\n", "proc/version": "Linux 6.12"}),
        (place.LINUX, {"CODESPACES": "false", "CI": "true"}, {}),
    ],
)
def test_a_place_is_known_by_its_marks(
    expected: Place, environ: dict[str, str], files: dict[str, str], tmp_path: Path
) -> None:
    assert find_place(environ, machine(tmp_path, files), "linux") == expected


def test_a_container_on_a_windows_machine_is_a_container(tmp_path: Path) -> None:
    root = machine(tmp_path, {".dockerenv": "", "proc/version": "Linux 6.6-microsoft-standard"})
    assert find_place({}, root, "linux") == place.CONTAINER


def test_without_marks_it_is_the_system_itself(tmp_path: Path) -> None:
    assert find_place({}, tmp_path, "darwin") == place.MACOS
    assert find_place({}, tmp_path, "win32") == place.ELSEWHERE


def test_marks_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    (tmp_path / "proc/1/cgroup").mkdir(parents=True)
    assert find_place({}, tmp_path, "linux") == place.LINUX


def test_doctor_says_what_to_expect_of_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINDER_REPO_URL", "https://a.host/course")
    told = checks.place()
    assert (told.state, told.found) == ("note", "Binder")
    assert "don't measure" in told.advice
    monkeypatch.delenv("BINDER_REPO_URL")
    monkeypatch.setenv("CODESPACES", "true")
    assert checks.place().state == "ok"
