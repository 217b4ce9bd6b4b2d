"""Users of the system: who this process is, and how root becomes somebody who may do less."""

import ctypes
import functools
import os
import pwd
import stat
import struct
import sys
import sysconfig
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from course_app.system import platforms

# linux/prctl.h and linux/capability.h
_KEEP_CAPABILITIES, _AMBIENT = 8, 47
_NEW_USER = 0x10000000  # CLONE_NEWUSER, linux/sched.h
_READ_SEARCH = 1 << 2  # CAP_DAC_READ_SEARCH
_CAPABILITY_VERSION = 0x20080522


@dataclass(frozen=True)
class Account:
    """A user that servers run as when the lab's owner is root."""

    uid: int
    gid: int


def name_of(uid: int) -> str | None:
    """What the system calls a user; None for an id that it has no name for.

    Containers may run as any number (``docker run --user 1234``), and some programs refuse to.
    """
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def nobody() -> Account | None:
    """The user without rights, if the system has one."""
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


@functools.cache
def can_become(account: Account) -> bool:
    """Whether this process may start programs as that user.

    Root may not where it is root of a user namespace that knows nobody else, nor in a container
    without the capability (Linux).
    """
    if not platforms.is_linux():
        return True
    return _in_a_copy(lambda: _change_user(account.uid, account.gid))


@functools.cache
def can_pass_for(account: Account) -> bool:
    """Whether ``passing_for`` works here: many containers forbid user namespaces."""
    return platforms.is_linux() and _in_a_copy(passing_for(account))


def passing_for(account: Account) -> Callable[[], None]:
    """A function by which a child process takes itself for another user (Linux).

    It enters a user namespace, user_namespaces(7), in which this user's id reads as the other's.
    Files that it makes are still this user's, and it may do no more than this user.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = f"{account.uid} {os.geteuid()} 1", f"{account.gid} {os.getegid()} 1"

    def enter() -> None:
        if libc.unshare(_NEW_USER) != 0:
            raise OSError(ctypes.get_errno(), "no user namespace")
        for file, text in (("setgroups", "deny"), ("gid_map", group), ("uid_map", user)):
            with open(f"/proc/self/{file}", "w") as opened:
                opened.write(text)

    return enter


def can_work_as(uid: int, folder: Path, *, reads_all: bool = True) -> bool:
    """Whether Python would still run for that user, and could use ``folder``.

    ``reads_all`` is meant as in ``become``.

    Tried in a copy of this process, because permissions, access lists and capabilities all have
    a say in it: it becomes the user, looks at everything that Python has loaded so far and could
    load later, and writes a file.
    """
    places = needed()

    def work() -> None:
        become(uid, reads_all=reads_all)
        for place in places:
            _read(place)
        trial = folder / f"trial-{os.getpid()}"
        trial.touch()
        trial.unlink()
        for entry in os.scandir(folder):
            _read(entry.path)

    return _in_a_copy(work)


def become(uid: int, *, reads_all: bool = True) -> None:
    """Root becomes another user for good. Linux only.

    Args:
        reads_all: who can still read all that root can, where possible: Python may lie in a
            folder of root's own. Another wall has to stand around what is to be read.

    Raises:
        OSError: this process may not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    _change_user(uid, uid)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    sets = struct.pack("=6I", *(3 * (_READ_SEARCH,)), 0, 0, 0)
    if reads_all and libc.capset(header, sets) == 0:
        libc.prctl(_AMBIENT, 2, 2, 0, 0)  # also for the programs that it starts
    else:  # in containers root has no such capability; the others must not stay either
        libc.capset(header, struct.pack("=6I", 0, 0, 0, 0, 0, 0))


def _change_user(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)  # root's change is one of the saved ids too, so there is no way back


def needed() -> list[str]:
    """Files and folders that a Python which starts anew, or imports more, has to read."""
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    folders = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *sys.path]
    everything = (sys.executable, *folders, *filter(None, loaded))
    return [place for place in dict.fromkeys(map(str, everything)) if os.path.exists(place)]


def _read(place: str) -> None:
    """Raises OSError if this user cannot."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.stat(os.path.join(place, "."))  # a folder that can be listed is not yet entered
    finally:
        os.close(descriptor)


def _in_a_copy(work: Callable[[], None]) -> bool:
    """Whether the work succeeds in a forked copy of this process, which ends with it."""
    with warnings.catch_warnings():
        # About locks that other threads may hold: the copy calls the system and nothing else.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return status == 0
