"""What can go wrong with the lab's servers, each with a way out; and how errors cross processes."""

import errno
import shutil
from pathlib import Path

from course_app.errors import CourseError

# How the folders of labs are named, in the folders for temporary files.
LAB_PREFIX = "course-lab-"
NO_ROOM_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# The last is PostgreSQL's hint where a write ended early, without an error of the system's.
NO_ROOM_TEXTS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Check free disk space",
)


class ServicesError(CourseError):
    """PostgreSQL or Valkey cannot be provided."""


class WheelMissing(ServicesError):
    """A package with a server's binaries is not installed, or not for this platform."""


class UnfitUser(ServicesError):
    """The servers cannot run as this user."""


class NoRoomOnDisk(ServicesError):
    """The disk, or the user's share of it, is full."""


class ServerUnreachable(ServicesError):
    """A server named by an environment variable does not answer, or refuses what a lab needs."""


class ServicesDidNotStart(ServicesError):
    """A server of the lab or a process that looks after it failed, or was not ready in time."""


class DamagedCache(ServicesError):
    """The prepared data set is incomplete; it is rebuilt, so readers do not meet this."""


KINDS: dict[str, type[ServicesError]] = {
    kind.__name__: kind
    for kind in (
        WheelMissing,
        UnfitUser,
        NoRoomOnDisk,
        ServerUnreachable,
        ServicesDidNotStart,
        DamagedCache,
    )
}


def no_room(folder: Path) -> NoRoomOnDisk:
    """The error for a full disk, naming the folder (of a lab: where it lay) and both ways out."""
    for path in (folder, *folder.parents):
        if path.name.startswith(LAB_PREFIX):
            folder = path.parent
    return NoRoomOnDisk(
        f"There is no room on the disk for the lab's servers: {folder} could not be written to the "
        "end. Free about 600 MB there, or set TMPDIR (for running labs) or XDG_CACHE_HOME (for the "
        "prepared data set) to a folder on a disk with more room."
    )


def is_full(folder: Path) -> bool:
    """Whether next to nothing can be written there: what fails then, fails for this reason."""
    return shutil.disk_usage(folder).free < 1 << 20


def is_no_room(error: BaseException) -> bool:
    """Whether the disk is to blame; copying a whole tree knows its reasons only as texts."""
    if isinstance(error, shutil.Error):
        return says_no_room(str(error))
    return isinstance(error, OSError) and error.errno in NO_ROOM_ERRNOS


def says_no_room(text: str) -> bool:
    """Whether a server's log blames the disk."""
    return any(sign in text for sign in NO_ROOM_TEXTS)
