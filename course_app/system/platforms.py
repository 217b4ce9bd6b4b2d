"""Which system this is, and where its kernel tells about itself."""

import sys
from pathlib import Path

from course_app.errors import CourseError

#: The kernel's files (Linux). Tests lay a tree of their own here.
PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


class UnsupportedPlatform(CourseError):
    """This system cannot run the lab's servers."""


def is_linux() -> bool:
    """Whether Linux's own facilities may be tried; each may still be missing."""
    return sys.platform == "linux"


def is_macos() -> bool:
    """Whether macOS's own facilities may be tried."""
    return sys.platform == "darwin"


def name() -> str:
    """System and processor, such as ``Linux x86_64``."""
    import platform  # here, because most who load this module never ask

    return f"{platform.system()} {platform.machine()}"


def require_posix(system: str = sys.platform) -> None:
    """Refuse Windows, which has no process sessions and for which there is no Valkey.

    Raises:
        UnsupportedPlatform: on native Windows, with the way out (WSL2).
    """
    if system.startswith("win"):
        raise UnsupportedPlatform(
            "The lab's servers do not run on native Windows. Install WSL2 (`wsl --install` in "
            "PowerShell), open its Ubuntu terminal, and run the course there with `make lab`."
        )
