"""Other systems than this one: macOS without its libraries, small machines, containers."""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from control_groups import Groups

from course_app.system import platforms


@pytest.fixture
def no_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system that has none of Linux's facilities, and no /proc."""
    leave_linux(monkeypatch, tmp_path)


def leave_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Switch all branches for Linux off."""
    monkeypatch.setattr(platforms, "is_linux", lambda: False)
    monkeypatch.setattr(platforms, "PROC", tmp_path / "no proc")
    monkeypatch.setattr(platforms, "CGROUPS", tmp_path / "no groups")


@pytest.fixture
def no_readings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And processes may not be looked into, as on macOS those of other users."""
    leave_linux(monkeypatch, tmp_path)

    def refuse(process: psutil.Process, *_: object) -> None:
        raise psutil.AccessDenied(process.pid)

    for name in ("cpu_times", "memory_info", "memory_full_info"):
        monkeypatch.setattr(psutil.Process, name, refuse)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give this process so many cores."""

    def with_cores(number: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))

    monkeypatch.delenv("COURSE_CORES", raising=False)
    return with_cores


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Groups:
    """Control groups of our own making."""
    made = Groups(tmp_path)
    monkeypatch.setattr(platforms, "PROC", tmp_path / "proc")
    monkeypatch.setattr(platforms, "CGROUPS", tmp_path / "groups")
    return made
