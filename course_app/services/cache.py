"""The owner's side of the prepared cluster: found in the user's cache, or made there once.

Processes that need it for the first time at the same moment wait for the one that makes it.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from course_app.dataset import DATASET_VERSION
from course_app.services.binaries import find_binaries, require_name, server_account
from course_app.services.cluster import MANIFEST
from course_app.services.errors import ServicesError, is_no_room, no_room
from course_app.services.launch import run_job
from course_app.services.supervisor import Job
from course_app.system import homes

PREFIX = "dataset-"
PREPARE_TIMEOUT_SECONDS = 300.0


def cache_folder() -> Path:
    """Where prepared data sets are kept (XDG_CACHE_HOME moves it on Linux)."""
    return homes.cache_folder()


def prepared_folder() -> Path:
    """Where the prepared cluster of this version is, or will be."""
    return cache_folder() / f"{PREFIX}{DATASET_VERSION}"


def is_prepared() -> bool:
    """Whether the next start can copy instead of making the data set (about 4 seconds)."""
    return (prepared_folder() / MANIFEST).is_file()


def prepare() -> Path:
    """The prepared cluster's folder; made if missing, and other versions removed.

    Raises:
        WheelMissing, UnfitUser, NoRoomOnDisk, ServicesDidNotStart, ServicesError: it cannot be
            made.
    """
    if not is_prepared():
        with _locked():
            if not is_prepared():
                _make()
    return prepared_folder()


def made() -> tuple[int, int] | None:
    """Tells one making of the prepared cluster from the next; None if there is none."""
    try:
        manifest = (prepared_folder() / MANIFEST).stat()
    except OSError:
        return None
    return manifest.st_ino, manifest.st_mtime_ns


def rebuild(damaged: tuple[int, int] | None) -> Path:
    """Throw the prepared cluster away and make it anew; running labs have copies of their own.

    Args:
        damaged: what :func:`made` told before the damage was met. If it tells something else
            now, another lab met the same damage, and this one takes what that has made.
    """
    with _locked():
        if damaged is None or damaged == made():
            shutil.rmtree(prepared_folder(), ignore_errors=True)
        if not is_prepared():
            _make()
    return prepared_folder()


def _make() -> None:
    binaries = find_binaries(valkey=False)
    require_name()
    _remove_others()
    account = server_account()
    job = Job(
        mode="prepare",
        prepared=str(prepared_folder()),
        postgres_binaries=str(binaries.postgres),
        valkey_binary=str(binaries.valkey),
        valkey=False,
        account=(account.uid, account.gid) if account else None,
    )
    run_job(job, account, PREPARE_TIMEOUT_SECONDS)


def _remove_others() -> None:
    """Remove other versions, this one if incomplete, and unfinished ones: we hold the lock."""
    for pattern in (f"{PREFIX}*", f"new-{PREFIX}*"):
        for path in cache_folder().glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked() -> Iterator[None]:
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        if is_no_room(error):
            raise no_room(folder) from error
        raise ServicesError(
            f"The prepared data set cannot be kept in {folder}: {error.strerror}. "
            "Set XDG_CACHE_HOME to a folder that you can write to."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
