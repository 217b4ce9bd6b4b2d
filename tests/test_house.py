"""The rules of the house that a reviewer should not have to look for."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "course_app"

#: Rooms from the lowest to the highest: each imports only from rooms that stand before it.
ROOMS = (
    ("errors", "changes", "words", "worker"),
    ("system",),
    ("processes", "network", "dataset"),
    ("services", "serving", "load"),
    ("measure",),
    ("predictions",),
    ("plots",),
    ("apps",),
    ("claims", "progress", "explore"),
    ("examine",),
    ("lab",),
    ("grading",),
    ("exercises",),
    ("authoring",),
    ("learn",),
    ("classroom",),
    ("site",),
    ("cli",),
)
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}

#: What only the room ``system`` may ask: which system this is, and for what only some have.
ABOUT_THE_SYSTEM = re.compile(
    r"sys\.platform|platform\.(system|uname)\b|import ctypes|from ctypes|import resource\b"
    r"|psutil\.(LINUX|MACOS|OSX|WINDOWS)|sched_getaffinity|cpu_count\b|os\.uname|/proc\b|/sys/fs"
)
#: Who may all the same, and why.
MAY_NAME_THE_SYSTEM = {
    "authoring/machine_paths.py": "prefixes of paths that outputs must not hold",
}

#: Made of parts, so that this file passes its own test.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
        ("deb", "debian", "org"),
        ("proxy", "golang", "org"),
    )
)


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    files = [PROJECT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(file: Path) -> Iterator[tuple[int, str]]:
    """Line and room of each import of our own package, those inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level == 1:
                continue  # from its own folder, so from its own room
            assert node.level == 0, f"{file}:{node.lineno}: imports name the whole path here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "course_app" and len(parts) > 1 and not parts[1].startswith("_"):
                yield getattr(node, "lineno", 0), parts[1]


def test_every_room_has_its_place() -> None:
    rooms = {room_of(file) for file in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= set(RANK), "give new rooms a place in ROOMS"


def test_a_room_imports_only_from_rooms_below_it() -> None:
    wrong = [
        f"{file.relative_to(PROJECT)}:{line}: {room_of(file)} imports {room}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if room_of(file) != "__init__"
        for line, room in imported_rooms(file)
        if room != room_of(file) and RANK[room] >= RANK[room_of(file)]
    ]
    assert not wrong, "\n".join(wrong)


def test_only_one_room_depends_on_the_operating_system() -> None:
    wrong = [
        f"{name}:{number}: {line.strip()}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if room_of(file) != "system"
        and (name := str(file.relative_to(PACKAGE))) not in MAY_NAME_THE_SYSTEM
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if ABOUT_THE_SYSTEM.search(line)
    ]
    assert not wrong, "ask course_app/system instead:\n" + "\n".join(wrong)


def test_no_file_names_a_package_registry() -> None:
    wrong = [
        f"{file.relative_to(PROJECT)} names {host}"
        for file in tracked_files()
        for host in REGISTRIES
        if host.encode() in file.read_bytes()
    ]
    assert not wrong, "\n".join(wrong)
