"""Watches what a submission uses from outside, and ends it where it uses too much.

The operating system's own limits hold for single processes; this holds for all of them together.
"""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from course_app.grading.evidence import CouldNotCheck, Failure
from course_app.grading.failures import (
    CannotBeWatched,
    TookTooLong,
    TooManyProcesses,
    TooMuchMemory,
    TooMuchOnDisk,
    TooMuchOutput,
)
from course_app.grading.limits import Limits
from course_app.processes import OwnedProcess
from course_app.system import usage

# Memory can be filled at some 2 GB a second, so looks must be short after each other; they cost
# about 20 µs. Walking through all processes costs ten milliseconds of CPU, so it is done when their
# number has grown, and once in a while: seldom where the code is our own.
_LOOK_SECONDS = 0.05
_WALK_SECONDS, _WALK_OURS_SECONDS = 0.5, 5.0
# Who is frozen starts nothing: processes that were just being started are found by the next look.
_STOP_LOOKS = 4
_MOST_FILES = 20_000
#: No program needs more folders in each other, and what lies below a longer path cannot be seen.
_DEEPEST, _LONGEST_PATH_BYTES = 100, 4000
# A process may end while it is looked at; what goes wrong again and again is nothing of that kind.
_MOST_ERRORS = 3
#: The grader's own want of descriptors or memory: whatever the answer did, it has limits.
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
#: What is removed while it is looked at takes no room. What cannot be looked at may take any.
_REMOVED = (FileNotFoundError, NotADirectoryError)


class Watcher:
    """Looks after one submission until :meth:`close`; ``failure`` is set when it had to act.

    Args:
        ours: it is not foreign code, but the course's own.
    """

    def __init__(
        self, process: OwnedProcess, output: Path, folder: Path, limits: Limits, *, ours: bool
    ) -> None:
        self.failure: Failure | CouldNotCheck | None = None
        #: How many bytes its database takes; set once it has one.
        self.database_bytes: Callable[[], int] = lambda: 0
        self._process = process
        self._output = output
        self._folder = folder
        self._limits = limits
        self._deadline = time.monotonic() + limits.check_seconds
        self._walk_seconds = _WALK_OURS_SECONDS if ours else _WALK_SECONDS
        self._walked = 0.0
        self._errors = 0
        self._processes_then = usage.number_of_processes()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._thread.start()

    def look_now(self) -> Failure | CouldNotCheck | None:
        """Why it was ended, or would be at the next look: what it did may be faster than looks."""
        return self.failure or self._look_safely()

    def close(self) -> None:
        """Stop watching."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            self.failure = self._look_safely()
            if self.failure is not None:
                end_tree(self._process)
                return

    def _look_safely(self) -> Failure | CouldNotCheck | None:
        try:
            return self._look()
        except Exception as error:  # no limit holds for what cannot be watched
            self._errors += 1
            if self._errors < _MOST_ERRORS:
                return None
            told = f"{type(error).__name__}: {error}"
            if isinstance(error, MemoryError) or getattr(error, "errno", None) in _OURS:
                return CouldNotCheck(f"The app could no longer be watched: {told}")
            return CannotBeWatched(told, "an app that can be watched")

    def _look(self) -> Failure | None:
        limits = self._limits
        if time.monotonic() > self._deadline:
            return TookTooLong("the check ran out of time", f"{limits.check_seconds:g} s at most")
        if _size(self._output) > limits.output_bytes:
            most = f"{limits.output_bytes // 10**6} MB at most"
            return TooMuchOutput(f"more than {most.split(' at')[0]} printed", most)
        # What cannot be read (None) is no limit: the system's own limits hold all the same.
        if (usage.resident_bytes(self._process.pid) or 0) > limits.memory_bytes:
            return self._too_much_memory()
        grown = usage.number_of_processes() - self._processes_then > limits.processes // 2
        if grown or time.monotonic() - self._walked > self._walk_seconds:
            return self._walk()
        return None

    def _walk(self) -> Failure | None:
        self._walked = time.monotonic()
        tree = self._process.tree()
        if len(tree) > self._limits.processes:
            most = f"{self._limits.processes} at most"
            return TooManyProcesses(f"{len(tree)} processes", most)
        failure = self._too_full(tree)
        self._errors = 0  # all has been seen: what went wrong before was a moment's
        return failure

    def _too_full(self, tree: Sequence[psutil.Process]) -> Failure | None:
        if _is_fuller(self._folder, self._limits.disk_bytes):
            most = f"{self._limits.disk_bytes // 2**20} MiB at most"
            return TooMuchOnDisk(f"more than {most.split(' at')[0]} in its folder", most)
        if self.database_bytes() > self._limits.database_bytes:
            most = f"{self._limits.database_bytes // 2**20} MiB at most"
            return TooMuchOnDisk(f"more than {most.split(' at')[0]} in its database", most)
        used = usage.total_memory_bytes(process.pid for process in tree)
        if used is not None and used > self._limits.memory_bytes:
            return self._too_much_memory()
        return None

    def _too_much_memory(self) -> Failure:
        most = f"{self._limits.memory_bytes // 2**20} MiB"
        return TooMuchMemory(f"more than {most}", f"{most} at most")


def end_tree(process: OwnedProcess) -> None:
    """End a submission that must not get any time to react: freeze all of it, then kill."""
    for each in stop_tree(process):
        with contextlib.suppress(psutil.Error):
            each.kill()
    process.stop(grace_seconds=0)


def stop_tree(process: OwnedProcess) -> list[psutil.Process]:
    """Freeze a submission's processes, also those that it starts in the meantime."""
    stopped: dict[int, psutil.Process] = {}
    for _ in range(_STOP_LOOKS):
        new = [each for each in process.tree() if each.pid not in stopped]
        if not new:
            break
        for each in new:
            stopped[each.pid] = each
            with contextlib.suppress(psutil.Error):
                each.suspend()
    return list(stopped.values())


def _is_fuller(folder: Path, most_bytes: int) -> bool:
    """Whether more than that lies there; no longer look than it takes to know.

    Folders in folders without an end are full, too.

    Raises:
        OSError: something cannot be looked at.
    """
    used = files = 0
    waiting = [(os.fspath(folder), 0)]
    while waiting:
        place, depth = waiting.pop()
        if depth > _DEEPEST or len(os.fsencode(place)) > _LONGEST_PATH_BYTES:
            return True
        for path, is_folder in _entries(place):
            if is_folder:
                waiting.append((path, depth + 1))
            used += 0 if is_folder else _size(path)
            files += 1
            if used > most_bytes or files > _MOST_FILES:
                return True
    return False


def _entries(folder: str) -> Iterator[tuple[str, bool]]:
    """The paths in a folder, and whether each is a folder itself."""
    with contextlib.suppress(*_REMOVED), os.scandir(folder) as entries:
        for entry in entries:
            yield entry.path, entry.is_dir(follow_symlinks=False)


def _size(path: str | Path) -> int:
    with contextlib.suppress(*_REMOVED):
        return os.lstat(path).st_size
    return 0
