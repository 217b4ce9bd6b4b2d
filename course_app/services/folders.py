"""The private folder of a lab: made under a lock, and removed by the next lab if left behind.

The owner holds a lock (flock) on a file in it as long as it lives. The system frees the lock when
the owner ends in any way, so a folder whose lock can be taken has no living owner; process ids,
which are used again, are not trusted.
"""

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from course_app.services.binaries import can_reach
from course_app.services.errors import LAB_PREFIX, ServicesError, is_no_room, no_room
from course_app.system.folders import spread_subfolders
from course_app.system.private_folders import lock_is_free
from course_app.system.users import Account

# A folder gets its final name once its lock is held; under this name it is being made.
NEW_PREFIX = f"new-{LAB_PREFIX}"
NEW_EXPIRES_SECONDS = 3600.0
LOCK_NAME = "lock"


class LabFolder:
    """A folder of one lab, locked by this process until `release` or its end."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        """Give up the lock; the folder is removed by the lab's keeper."""
        with suppress(OSError):
            os.close(self._lock)
        self._lock = -1


def write_private(path: Path, text: str) -> None:
    """Write a file for this user's eyes only; it is complete or not there."""
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(path)


def base_folders() -> list[Path]:
    """Folders that labs may be made in, best first.

    Without TMPDIR, /var/tmp comes before /tmp: it is a disk where /tmp is often memory, and
    commits to memory would cost nothing in the lessons that measure them.
    """
    wished = [Path(value) for name in ("TMPDIR", "TEMP", "TMP") if (value := os.environ.get(name))]
    usual = [Path("/var/tmp"), Path("/tmp")]
    return list(dict.fromkeys(path.absolute() for path in (*wished, *usual)))


def lab_base(account: Account | None) -> Path:
    """The folder that labs are made in: the first that this user and the account can use.

    Raises:
        ServicesError: there is none.
    """
    for base in base_folders():
        usable = base.is_dir() and os.access(base, os.W_OK | os.X_OK)
        if usable and (account is None or can_reach(account, base)):
            return base
    raise ServicesError(
        "No folder for temporary files can be written to. Set TMPDIR to a folder of yours."
    )


def make_lab_folder(account: Account | None) -> LabFolder:
    """A new, locked folder that only this user (and the servers' account) can enter.

    Raises:
        NoRoomOnDisk, ServicesError: no folder can be made.
    """
    base = lab_base(account)
    try:
        return _make_in(base, account)
    except OSError as error:
        if is_no_room(error):
            raise no_room(base) from error
        raise


def _make_in(base: Path, account: Account | None) -> LabFolder:
    new = Path(tempfile.mkdtemp(prefix=NEW_PREFIX, dir=base))
    lock = os.open(new / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if account is not None:
        new.chmod(0o711)  # the servers' account passes through; what is inside stays private
    spread_subfolders(new)
    final = base / f"{LAB_PREFIX}{secrets.token_hex(6)}"
    new.rename(final)
    return LabFolder(final, lock)


def remove_abandoned() -> list[Path]:
    """Remove the folders of this user's labs whose owners are dead; returns them."""
    found = [path for base in base_folders() for path in base.glob(f"*{LAB_PREFIX}*")]
    return [path for path in dict.fromkeys(found) if _is_abandoned(path) and _remove(path)]


def _remove(path: Path) -> bool:
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _is_abandoned(path: Path) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return False
        if path.name.startswith(NEW_PREFIX):
            return time.time() - status.st_mtime > NEW_EXPIRES_SECONDS
        return path.name.startswith(LAB_PREFIX) and lock_is_free(path / LOCK_NAME)
    except OSError:
        return False
