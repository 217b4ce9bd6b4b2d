"""Where this user's files are kept, also for a user without a home.

A user id without a name has no home folder, and containers that run as one set HOME to /, which
it cannot write to. Such a user's files go into a folder of its own beside the temporary ones.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from course_app.errors import CourseError
from course_app.system import users

_COURSE = "fastapi-performance-course"


class NoHome(CourseError):
    """There is no folder in which this user's files can be kept."""


def cache_folder() -> Path:
    """For what can be made anew (XDG_CACHE_HOME moves it on Linux); it may not exist yet.

    Raises:
        NoHome: there is none.
    """
    return _folder("XDG_CACHE_HOME", lambda: platformdirs.user_cache_dir(_COURSE, appauthor=False))


def state_folder() -> Path:
    """For what cannot be made anew (XDG_STATE_HOME moves it on Linux); it may not exist yet.

    Raises:
        NoHome: there is none.
    """
    return _folder("XDG_STATE_HOME", lambda: platformdirs.user_state_dir(_COURSE))


def not_kept(folder: Path, error: OSError) -> str:
    """What is said where ``folder`` cannot be written to: it must cost nobody the result."""
    return f"Not kept: {folder}: {error.strerror or error}."


def provide() -> None:
    """Give a user without a name a HOME for this process and its children, if it has none.

    Jupyter and IPython keep files there and do not start without one.

    Raises:
        NoHome: none can be made.
    """
    home = os.environ.get("HOME")
    if home and os.access(home, os.W_OK | os.X_OK):
        return
    if users.name_of(os.geteuid()) is None:
        os.environ["HOME"] = str(_without_home())


def _folder(variable: str, usual: Callable[[], str]) -> Path:
    try:
        folder = Path(usual())
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd
        return _without_home()
    if os.environ.get(variable) or os.path.exists(folder) or _can_be_made(folder):
        return folder
    return _without_home()


def _can_be_made(folder: Path) -> bool:
    # Not `Path.exists`: before Python 3.14 it raises where a folder may not be searched.
    nearest = next(parent for parent in folder.parents if os.path.exists(parent))
    return os.access(nearest, os.W_OK | os.X_OK)


def _without_home() -> Path:
    folder = Path(tempfile.gettempdir(), f"{_COURSE}-{os.geteuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise NoHome(
            f"This user has no home folder, and {folder} cannot be made: {error.strerror}. Set "
            "HOME to a folder that you can write to."
        ) from error
    # Everybody may make a folder there: what somebody else prepared must not be trusted.
    if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise NoHome(
            f"This user has no home folder, and {folder} belongs to somebody else. Set HOME to a "
            "folder that you can write to."
        )
    return folder
