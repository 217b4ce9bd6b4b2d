"""Private folders for temporary files, also where sockets with a name lie in them."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# The name of a socket may have so many bytes (sun_path of sys/un.h, with a final zero byte: 108
# on Linux, 104 on macOS), and TMPDIR alone can be longer.
_LONGEST_SOCKET_PATH = 103
_LONGEST_NAME = 20
_SHORT = "/tmp"
#: In each folder that this module makes; whoever names one of theirs alike has none in it.
_OWNER = ".course-owner"
#: Between its making and its lock a folder has an owner that cannot be seen yet.
_UNLOCKED_SECONDS = 60.0


def _anywhere(prefix: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=prefix))


@contextmanager
def temporary_folder(prefix: str, make: Callable[[str], Path] = _anywhere) -> Iterator[Path]:
    """A folder that is gone afterwards, or, if its owner is killed, when the next one is made.

    The owner holds a lock (flock) on a file in it, which the system frees at its end, however that
    comes.

    Raises:
        OSError: no folder can be made.
    """
    import fcntl  # here, because Windows has none, and is told so by others

    folder = make(prefix)
    for other in folder.parent.glob(f"{prefix}*"):
        if other != folder and _is_left_behind(other):
            shutil.rmtree(other, ignore_errors=True)
    lock = os.open(folder / _OWNER, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _is_left_behind(folder: Path) -> bool:
    with suppress(OSError):
        status, owner = folder.lstat(), (folder / _OWNER).lstat()
        mine = stat.S_ISDIR(status.st_mode) and stat.S_ISREG(owner.st_mode)
        mine = mine and status.st_uid == owner.st_uid == os.geteuid()
        old = time.time() - owner.st_mtime > _UNLOCKED_SECONDS
        return mine and old and lock_is_free(folder / _OWNER)
    return False


def lock_is_free(path: Path) -> bool:
    """Whether nobody who lives holds the file's lock (flock).

    Raises:
        OSError: it cannot be opened, or its file system knows no locks.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def folder_for_a_socket(prefix: str) -> Path:
    """A new folder for this user alone, in which a socket's name of 20 bytes still fits.

    Raises:
        OSError: no folder can be made.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if len(os.fsencode(folder)) + 1 + _LONGEST_NAME <= _LONGEST_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_SHORT))
