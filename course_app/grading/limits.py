"""What a submission may use, and the walls that the operating system builds around it.

Runs in the submission's own process, before any of its code. Linux has all of the walls;
elsewhere those that exist are used, and the watcher outside holds the limits too.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_app.system import landlock, platforms, users
from course_app.system import limits as bounding
from course_app.system.mounts import private_folders
from course_app.system.readable import readable

_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds for one submission; far above what any right answer needs."""

    import_seconds: float = 20.0
    start_seconds: float = 10.0
    request_seconds: float = 3.0
    check_seconds: float = 90.0
    cpu_seconds: int = 120
    memory_bytes: int = 1024 * _MIB
    processes: int = 32
    threads: int = 400
    open_files: int = 512
    output_bytes: int = 20 * _MIB
    disk_bytes: int = 128 * _MIB
    database_bytes: int = 1024 * _MIB
    shared_memory_bytes: int = 64 * _MIB


# Ids that belong to nobody on common systems. A submission graded by root gets one of its own:
# the limit on processes counts by user, and root has none.
_FIRST_FREE_UID, _FREE_UIDS = 61_000, 4_000


@dataclass(frozen=True)
class Walls:
    """What stands between a submission and the machine.

    Attributes:
        standing: names of the walls.
        missing: those that this system refuses, in words for the instructor.
    """

    standing: tuple[str, ...]
    missing: tuple[str, ...] = ()


def enclose(
    limits: Limits, folder: Path, ports: Sequence[int], files: Sequence[Path] = ()
) -> Walls:
    """Put this process behind walls for good. What the system refuses is left out.

    Args:
        limits: the bounds.
        folder: the only place where it may write.
        ports: the only TCP ports that it may connect to.
        files: what it has to read beside Python, the course and public files of the system.
    """
    user, no_user = _as_another_user(folder)
    bounds, no_bounds = _limit(limits)
    others = landlock.confine(folder, ports, [*readable(), *files])
    no_others = tuple(wall for wall in landlock.WALLS if wall not in others)
    return Walls((*bounds, *user, *others), (*no_user, *no_bounds, *no_others))


def _as_another_user(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Root becomes a user of its own, if Python and the course still work for that one."""
    if os.geteuid() != 0 or not platforms.is_linux():
        return (), ()
    uid = _FIRST_FREE_UID + os.getpid() % _FREE_UIDS
    # To read all that root can needs a wall around what is to be read.
    reads_all = landlock.available()
    if _give(folder, uid) and users.can_work_as(uid, folder, reads_all=reads_all):
        users.become(uid, reads_all=reads_all)
        return ("user",), ()
    _give(folder, os.geteuid())
    return (), ("a user of its own",)


def give_room(limits: Limits, folder: Path) -> None:
    """Replace the folder and shared memory by bounded ones of this process, where it may.

    Elsewhere the watcher outside looks after the folder's size.
    """
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    rooms = {folder: limits.disk_bytes, Path("/dev/shm"): limits.shared_memory_bytes}
    if private_folders(rooms):
        os.chdir(folder)  # until now this process stands in the folder below
        for name, content in files.items():
            (folder / name).write_bytes(content)


def _give(folder: Path, uid: int) -> bool:
    """Whether all that lies there belongs to that user now."""
    try:
        for path in (folder, *folder.iterdir()):
            os.chown(path, uid, uid, follow_symlinks=False)
    except OSError:
        return False
    return True


def _limit(limits: Limits) -> tuple[tuple[str, ...], tuple[str, ...]]:
    bounds: dict[bounding.Limit, int] = {
        "core file bytes": 0,
        "CPU seconds": limits.cpu_seconds,
        "open files": limits.open_files,
        "file bytes": 2 * limits.output_bytes,
        # Address space is more than memory: threads and libraries reserve what they never touch.
        "address space bytes": 4 * limits.memory_bytes,
    }
    # The system's limit counts all threads of the user, a desktop's included.
    if (running := bounding.threads_of_this_user()) is not None:
        bounds["threads of this user"] = running + limits.threads
    held = [bounding.lower(what, bound) for what, bound in bounds.items()]
    refused = [what for what, holds in zip(bounds, held, strict=True) if not holds]
    return ("limits",) if any(held) else (), tuple(refused)
