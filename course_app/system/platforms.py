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


def processor() -> str | None:
    """The processor's name as its maker gives it, such as ``AMD EPYC 7B13``."""
    if is_macos():
        import subprocess  # here, because most who load this module never ask

        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        except OSError:
            return None
        return said.strip() or None
    try:
        lines = (PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(filter(None, named), None)


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
