"""Which systems the labs run on."""

import sys

from course_app.errors import CourseError


class UnsupportedPlatform(CourseError):
    """This system cannot run the lab's servers."""


def require_posix(platform: str = sys.platform) -> None:
    """Refuse Windows, which has no process sessions and for which there is no Valkey.

    Raises:
        UnsupportedPlatform: on native Windows, with the way out (WSL2).
    """
    if platform.startswith("win"):
        raise UnsupportedPlatform(
            "The lab's servers do not run on native Windows. Install WSL2 (`wsl --install` in "
            "PowerShell), open its Ubuntu terminal, and run the course there with `make lab`."
        )
