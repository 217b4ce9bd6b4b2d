"""Limits that a system refuses do no harm."""

import resource
import subprocess
import sys

import pytest

from course_app.system import limits, open_files

RAISE = """
import resource
import course_app
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
MANY = """
import resource
from course_app.system import open_files
print(open_files.allow(open_files.FOR_MANY_CONNECTIONS))
"""


def with_open_files(soft: int, hard: int, program: str) -> list[int]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    command = [sys.executable, "-c", program]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


@pytest.mark.parametrize(
    ("before", "after"), [((256, 10_000), 4096), ((256, 1000), 1000), ((8000, 9000), 8000)]
)
def test_importing_the_package_makes_room_for_open_files(
    before: tuple[int, int], after: int
) -> None:
    assert with_open_files(*before, RAISE) == [after, before[1]]


def test_processes_with_many_connections_take_more_and_not_all() -> None:
    assert with_open_files(256, 20_000, MANY) == [16_384]


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_a_refusal_changes_nothing(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise error("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert open_files.allow(before + 1) == before
    assert limits.lower("address space bytes", 2**40) is False
    assert limits.lower("open files", 10) is False


def test_macos_refuses_more_than_its_open_max(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [256, resource.RLIM_INFINITY]

    def only_up_to_open_max(_what: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > 10_240:
            raise ValueError("current limit exceeds maximum limit")
        held[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(held))
    monkeypatch.setattr(resource, "setrlimit", only_up_to_open_max)
    assert open_files.allow(open_files.FOR_MANY_CONNECTIONS) == 10_240


@pytest.mark.usefixtures("no_linux")
def test_what_only_linux_can_hold_is_not_tried_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: pytest.fail("tried"))
    assert limits.lower("address space bytes", 2**30) is False
    assert limits.lower("threads of this user", 100) is False
    assert limits.threads_of_this_user() is None


def test_a_limit_that_is_set_holds() -> None:
    program = """
import resource
from course_app.system import limits
print(int(limits.lower("open files", 40)), int(limits.lower("open files", 50)),
      resource.getrlimit(resource.RLIMIT_NOFILE)[1], int(limits.threads_of_this_user() > 0))
"""
    assert with_open_files(256, 4096, program) == [1, 1, 40, 1]
