"""The keeper: runs one command, and ends it with everything it ever started.

A program of its own, ``python -I -S keeper.py OWNER_PID GRACE_SECONDS FDS COUNT FOLDER...
COMMAND...``, made of a few standard modules only, because each server start waits for it. It runs
as two processes, keeper and guard; each does the other's work when the other is killed:

    owner --pipe--> keeper --pipe--> guard --> command and its descendants

Protocol: a line ``SECONDS`` on standard input asks to stop with that much patience; its end means
that the owner is gone. Standard output tells ``pid COMMAND GUARD`` or ``error ERRNO`` first, and
``exit CODE`` (negative: the signal) last. Standard error becomes the command's output. FDS are
descriptors for the command alone (numbers with commas): their other ends see its end at once.

A fork server (``fork_server``) runs the same in a copy of itself, and a function of its own is the
command.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable

if __name__ == "__main__":  # started by its path, so that nothing else of the package is loaded
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from course_app.system.descent import adopt_orphans, descendants, die_with_parent

# How often a keeper looks whether its parent still is its parent: a forked copy of the owner
# can hold the pipe open after the owner's death.
PARENT_CHECK_SECONDS = 0.5
TERMINATED_GRACE_SECONDS = 3.0
# What the command left behind gets this long after SIGTERM, and again after SIGKILL.
LEFTOVER_SECONDS = 0.7
POLL_SECONDS = 0.02

#: What the command's process does in place of this program: it becomes the command.
Become = Callable[[list[str]], None]


class Watch:
    """What a keeper waits for: a child's end, a request to stop, or the loss of its parent."""

    def __init__(self, parent_pid: int, control: int, orphaned_grace_seconds: float) -> None:
        self.grace_seconds: float | None = None
        self._parent_pid = parent_pid
        self._control = control
        self._orphaned_grace_seconds = orphaned_grace_seconds
        self._woken, wake = _pipe()
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._request(TERMINATED_GRACE_SECONDS))

    @property
    def stopping(self) -> bool:
        return self.grace_seconds is not None

    def _request(self, grace_seconds: float) -> None:
        if self.grace_seconds is None or grace_seconds < self.grace_seconds:
            self.grace_seconds = grace_seconds

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until something happens, at most `timeout_seconds`."""
        sources = [self._woken] if self.stopping else [self._woken, self._control]
        ready, _, _ = select.select(sources, [], [], timeout_seconds)
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
        if self._control in ready:
            line = os.read(self._control, 64)
            self._request(float(line.split()[0]) if line.strip() else self._orphaned_grace_seconds)
        if os.getppid() != self._parent_pid:
            self._request(self._orphaned_grace_seconds)


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write


class Child:
    """One direct child of this process; adopted orphans are reaped on the way."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None

    def ended(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self.pid:
                    self.status = os.waitstatus_to_exitcode(status)
                if pid == 0:
                    break
        return self.status is not None

    def wait(self, watch: Watch, patience_seconds: float) -> None:
        deadline = time.monotonic() + patience_seconds
        while not self.ended() and time.monotonic() < deadline:
            watch.wait(POLL_SECONDS)


def keep(child: Child, watch: Watch, ask_to_stop: Callable[[float], float]) -> None:
    """Wait until the child has ended or must end; leave no descendant behind.

    `ask_to_stop(grace_seconds)` asks the child and returns how long to wait for it.
    """
    while not child.ended() and not watch.stopping:
        watch.wait(PARENT_CHECK_SECONDS)
    if not child.ended():
        child.wait(watch, ask_to_stop(watch.grace_seconds or 0.0))
    for number in (signal.SIGTERM, signal.SIGKILL):
        _end_leftovers(child, watch, number)


def _end_leftovers(child: Child, watch: Watch, number: int) -> None:
    deadline = time.monotonic() + LEFTOVER_SECONDS
    told: set[int] = set()
    while (left := set(descendants(child.pid))) and time.monotonic() < deadline:
        for pid in left if number == signal.SIGKILL else left - told:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        told |= left
        watch.wait(POLL_SECONDS)
        child.ended()


def execute(command: list[str]) -> None:
    """Become the command; raises OSError if it cannot be executed."""
    os.execvp(command[0], command)


def start(command: list[str], output: int, become: Become) -> int:
    """Run the command in a session of its own; raises OSError if it cannot be executed."""
    keeper_pid = os.getpid()
    failed, fail = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            die_with_parent()
            if os.getppid() != keeper_pid:
                os._exit(1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            become(command)
        except OSError as error:
            os.write(fail, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(fail)
    with os.fdopen(failed) as file:
        reason = file.read()
    if reason:
        os.waitpid(pid, 0)
        raise OSError(int(reason), os.strerror(int(reason)), command[0])
    return pid


def guard(watch: Watch, report: int, handed: list[int], command: list[str], become: Become) -> None:
    """The inner process: runs the command and tells the owner about it."""
    os.setsid()  # what is sent to the keeper's process group must not end its guard too
    adopt_orphans()
    try:
        child = Child(start(command, 2, become))
    except OSError as error:
        os.write(report, f"error {error.errno}\n".encode())
        return
    close(handed)
    with contextlib.suppress(BrokenPipeError):
        os.write(report, f"pid {child.pid} {os.getpid()}\n".encode())

    def ask_to_stop(grace_seconds: float) -> float:
        os.kill(child.pid, signal.SIGTERM)
        return grace_seconds

    keep(child, watch, ask_to_stop)
    code = -signal.SIGKILL if child.status is None else child.status
    with contextlib.suppress(BrokenPipeError):
        os.write(report, f"exit {code}\n".encode())


def close(descriptors: list[int]) -> None:
    """Keep no end of a line that belongs to the command."""
    for descriptor in descriptors:
        os.close(descriptor)


def remove(folders: list[str]) -> None:
    """Remove the folders the owner named, as far as they exist."""
    for folder in filter(os.path.lexists, folders):
        remove_tree(folder)


def remove_tree(folder: str) -> None:
    """Remove a folder with all that is in it, as far as that is possible, however deep it is."""
    import shutil  # not needed before the end, and the start is what somebody waits for
    import subprocess

    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):  # rmtree goes down by recursion, or by a descriptor for each level
        with contextlib.suppress(OSError):
            _open_up(folder)
            command = ["rm", "-rf", "--", folder]
            subprocess.run(command, stderr=subprocess.DEVNULL, check=False)


def _open_up(folder: str) -> None:
    """Let ourselves into folders whose modes keep even their owner out; root needs no modes."""
    waiting = [folder] if os.geteuid() else []
    while waiting:
        place = waiting.pop()
        with contextlib.suppress(OSError):
            os.chmod(place, 0o700)
            with os.scandir(place) as entries:
                waiting += [each.path for each in entries if each.is_dir(follow_symlinks=False)]


def main(arguments: list[str], become: Become = execute) -> None:
    """Keep one command to its end."""
    owner_pid, grace_seconds, count = int(arguments[0]), float(arguments[1]), int(arguments[3])
    handed = [int(number) for number in arguments[2].split(",") if number]
    folders, command = arguments[4 : 4 + count], arguments[4 + count :]
    report = os.dup(1)
    os.dup2(2, 1)
    adopt_orphans()
    keeper_pid = os.getpid()
    control, ask = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ask)
        os.close(0)
        guard(Watch(keeper_pid, control, grace_seconds), report, handed, command, become)
        remove(folders)
        os._exit(0)
    close([report, control, *handed])

    def ask_to_stop(grace_seconds: float) -> float:
        with contextlib.suppress(BrokenPipeError):
            os.write(ask, f"{grace_seconds}\n".encode())
        return grace_seconds + 3 * LEFTOVER_SECONDS

    keep(Child(pid), Watch(owner_pid, 0, grace_seconds), ask_to_stop)
    remove(folders)


if __name__ == "__main__":
    main(sys.argv[1:])
