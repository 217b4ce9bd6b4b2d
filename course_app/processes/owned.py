"""`OwnedProcess`: a command that ends, with all its descendants, when its owner does."""

import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import psutil

from course_app.processes import keeper
from course_app.processes.fork_server import ForkedKeeper, ForkServer, NotForked
from course_app.system.platforms import require_posix

# Beyond the command's own grace: leftovers are ended (twice, keeper and guard) and folders removed.
STOP_MARGIN_SECONDS = 10.0
TAIL_BYTES = 64 * 1024


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class OwnedProcess:
    """A running command, kept by a small keeper process that ends it in every case.

    The command and everything it ever started (daemons and orphans too, on Linux; its process
    group elsewhere) is sent SIGTERM, and SIGKILL after a grace time, when `stop` is called, when
    this process ends in any way (kill -9 included), when this object is dropped, or when the
    keeper is told to end. What the command leaves behind at its own end is ended as well.
    Interrupts (Ctrl-C, "Interrupt kernel") do not reach it.

    On Linux it also ends when the keeper or its guard is killed with -9.

    Args:
        command: program and arguments; the program is looked up on PATH.
        env: the command's whole environment; this process's by default.
        cwd: the command's working directory; this process's by default.
        output: file for standard output and error, written anew, for this user's eyes only if it
            is new; an unnamed temporary file by default. Either way `output_tail` reads it.
        pass_fds: open descriptors that the command is to have, too, under the same numbers.
        remove: folders the keeper removes after the end, whatever the end was.
        orphaned_grace_seconds: time between SIGTERM and SIGKILL when this process has ended.
        fork_server: where the command is forked instead of started anew: the command then consists
            of the arguments of the server's function alone.

    Raises:
        OSError: the command cannot be executed (FileNotFoundError, PermissionError, ...).
        NotForked: the fork server cannot fork it.
        UnsupportedPlatform: on native Windows.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        output: Path | None = None,
        pass_fds: Sequence[int] = (),
        remove: Sequence[Path] = (),
        orphaned_grace_seconds: float = 1.0,
        fork_server: ForkServer | None = None,
    ) -> None:
        require_posix()
        self.command = tuple(os.fspath(part) for part in command)
        # open as long as this object, for output_tail
        self._output: IO[bytes] = (
            open(output, "w+b", opener=_private) if output else tempfile.TemporaryFile()  # noqa: SIM115
        )
        self._fork_server = fork_server  # what it has forked ends with it
        arguments = self._keeper_arguments(remove, orphaned_grace_seconds, pass_fds)
        self._keeper: subprocess.Popen[bytes] | ForkedKeeper
        if fork_server is not None:
            self._keeper = fork_server.keep(
                arguments,
                env=os.environ if env is None else env,
                cwd=os.fspath(cwd or Path.cwd()),
                output=self._output,
                pass_fds=pass_fds,
            )
        else:
            program = [sys.executable, "-I", "-S", os.path.abspath(keeper.__file__)]
            self._keeper = subprocess.Popen(
                [*program, str(os.getpid()), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._output,
                cwd=cwd,
                env=env,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
        assert self._keeper.stdin is not None
        # A keeper keeps the pipe when it is dropped with its process still running (Popen: itself).
        weakref.finalize(self, self._keeper.stdin.close)
        self._returncode: int | None = None
        self.pid, self._guard_pid = self._await_start()

    def _keeper_arguments(
        self, remove: Sequence[Path], grace_seconds: float, pass_fds: Sequence[int]
    ) -> list[str]:
        """All but the first one, its parent's id."""
        folders = [os.fspath(folder.absolute()) for folder in remove]
        handed = ",".join(map(str, pass_fds))
        return [str(grace_seconds), handed, str(len(folders)), *folders, *self.command]

    def _await_start(self) -> tuple[int, int]:
        assert self._keeper.stdout is not None
        kind, *numbers = self._keeper.stdout.readline().decode().split() or ["none"]
        if kind == "pid":
            return int(numbers[0]), int(numbers[1])
        self._keeper.wait()
        tail = self.output_tail()
        self._close()
        if kind == "error":
            number = int(numbers[0])
            raise OSError(number, os.strerror(number), self.command[0])
        kind_of_error = OSError if self._fork_server is None else NotForked
        raise kind_of_error(f"The keeper of {self.command[0]} did not start: {tail}")

    @property
    def keeper_pid(self) -> int:
        """Process id of the keeper, a child of this process or of the fork server."""
        return self._keeper.pid

    @property
    def guard_pid(self) -> int:
        """Process id of the command's parent, which waits for all that it leaves behind (Linux)."""
        return self._guard_pid

    @property
    def returncode(self) -> int | None:
        """None while the command or anything it started runs; then its exit code (-N: signal N)."""
        if self._returncode is None and self._keeper.poll() is not None:
            self._returncode = self._read_returncode()
        return self._returncode

    def _read_returncode(self) -> int:
        assert self._keeper.stdout is not None
        with suppress(ValueError):
            for line in self._keeper.stdout.read().decode().splitlines():
                if line.startswith("exit "):
                    return int(line.split()[1])
        return -9

    @property
    def running(self) -> bool:
        return self.returncode is None

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Block until everything has ended; the exit code.

        Raises:
            TimeoutError: still running after `timeout_seconds`.
        """
        try:
            self._keeper.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"{self.command[0]} still runs after {timeout_seconds:g} seconds."
            ) from None
        code = self.returncode
        assert code is not None
        return code

    def stop(self, grace_seconds: float = 3.0) -> None:
        """End everything: SIGTERM to the command, SIGKILL to what is left `grace_seconds` later.

        Returns when nothing is left and the folders are removed. A second call does nothing.
        """
        assert self._keeper.stdin is not None
        if self.running:
            with suppress(BrokenPipeError, ValueError):
                self._keeper.stdin.write(f"{grace_seconds}\n".encode())
                self._keeper.stdin.flush()
            try:
                self._keeper.wait(grace_seconds + STOP_MARGIN_SECONDS)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
        self._returncode = self.returncode
        with suppress(BrokenPipeError):
            self._keeper.stdin.close()

    def _close(self) -> None:
        for stream in (self._keeper.stdin, self._keeper.stdout, self._output):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    def tree(self) -> list[psutil.Process]:
        """The command and everything it started that still runs, the command first."""
        try:
            found = psutil.Process(self.keeper_pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        if self._keeper.poll() is not None:  # the number may be somebody else's by now
            return []
        living = [process for process in found if process.pid != self._guard_pid]
        return sorted(living, key=lambda process: (process.pid != self.pid, process.pid))

    def output_tail(self, lines: int = 20) -> str:
        """The last lines of what the command wrote, decoded as UTF-8 with replacements."""
        size = os.fstat(self._output.fileno()).st_size
        data = os.pread(self._output.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES))
        return "\n".join(data.decode(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with {self.returncode}"
        return f"<OwnedProcess {self.command[0]} pid {self.pid}, {state}>"
