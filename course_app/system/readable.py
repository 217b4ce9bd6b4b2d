"""What a program that nobody trusts has to read all the same, so that Python works for it."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import course_app
from course_app.system import platforms, users

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr")
_PACKAGE = Path(course_app.__file__).parent


def readable() -> list[Path]:
    """Python, its packages, the course's package, the system's programs and public settings.

    Not: homes, temporary folders, what lies beside the course's package in its folder.
    """
    found = [*map(Path, (*_SYSTEM, *(f"/dev/{name}" for name in _DEVICES))), *_public("/etc")]
    found += [place for each in users.needed() for place in _without_neighbours(Path(each))]
    return list(dict.fromkeys([*found, *_mapped()]))


def _without_neighbours(place: Path) -> Iterator[Path]:
    """A folder of modules in which the course lies as a copy holds much else beside it."""
    if place != _PACKAGE.parent or place.name in ("site-packages", "dist-packages"):
        yield place
    else:
        yield _PACKAGE


def _public(folder: str) -> Iterator[Path]:
    """What everybody may read in there."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                if entry.stat().st_mode & stat.S_IROTH:
                    yield Path(entry.path)


def _mapped() -> Iterator[Path]:
    """Folders of the libraries that are loaded, wherever this system keeps its own."""
    with contextlib.suppress(OSError):
        for line in (platforms.PROC / "self/maps").read_text().splitlines():
            path = line.partition("/")
            if path[1] and ".so" in path[2]:
                yield Path("/" + path[2]).parent
