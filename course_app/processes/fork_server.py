"""A fork server: a process that has imported what commands need, and forks them ready to run.

Python and FastAPI take most of a second to start, and whoever runs foreign code does so in a
process of its own each time. Linux only: elsewhere libraries of the system do not survive a fork.

Processes that come from one server share its seed of ``hash``; where that matters, start anew.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from typing import IO, Any

from course_app.processes import keeper
from course_app.system.platforms import is_linux

_ANSWER_SECONDS = 30.0
_LAST_WORDS_SECONDS = 1.0
#: How often it looks whether its owner is still there: see ``keeper.PARENT_CHECK_SECONDS``.
_LOOK_SECONDS = 0.5
_MOST_MESSAGE_BYTES = 1 << 18
_PROGRAM = "from course_app.processes.fork_server import serve; serve()"


class ForkServer:
    """The owner's end. The server ends with this process, however that ends.

    Args:
        main: ``module:function`` that each command runs; what the module imports is there by then.
        imports: more modules to import before.
        env: its environment. All that it forks hold it in their memory, so it should hold no more
            than those may know.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, main: str, imports: Sequence[str], env: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.settimeout(_ANSWER_SECONDS)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        with theirs:
            self._process = subprocess.Popen(
                # -P: a reader's own random.py or json.py must not stand in for the real ones
                [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), main, *imports],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env=env,
                start_new_session=True,
            )

    @staticmethod
    def can_work() -> bool:
        """Whether this system can fork what has been imported, and watch what is not its child."""
        return is_linux() and hasattr(os, "pidfd_open")

    @property
    def pid(self) -> int:
        """Its process id, which is the parent's of all that it forks."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Has it not ended?"""
        return self._process.poll() is None

    def keep(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        output: IO[bytes],
        pass_fds: Sequence[int],
    ) -> "ForkedKeeper":
        """Start a keeper (see ``keeper``) whose command is the server's function.

        Args:
            arguments: the keeper's; those of its command are ``sys.argv`` there.

        Raises:
            OSError: the server has ended, or does not answer.
        """
        ask, standard_input = os.pipe()
        report, standard_output = os.pipe()
        order = {"arguments": list(arguments), "env": dict(env), "cwd": cwd, "fds": [*pass_fds]}
        mine, theirs = [standard_input, report], [ask, standard_output]
        sent = [ask, standard_output, output.fileno(), *pass_fds]
        try:
            with self._lock:
                socket.send_fds(self._connection, [json.dumps(order).encode()], sent)
                answer, (pidfd,), _, _ = socket.recv_fds(self._connection, _MOST_MESSAGE_BYTES, 1)
        except (OSError, ValueError) as error:
            for descriptor in mine:
                os.close(descriptor)
            raise OSError(f"the fork server does not answer ({self._last_words()})") from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return ForkedKeeper(json.loads(answer)["pid"], pidfd, standard_input, report)

    def close(self) -> None:
        """End it; what it has forked ends with it."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS_SECONDS)
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(said) if line.strip()), "it says nothing")


class ForkedKeeper:
    """A keeper that is the fork server's child: as much of ``subprocess.Popen`` as is used."""

    def __init__(self, pid: int, pidfd: int, standard_input: int, report: int) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = os.fdopen(standard_input, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(report, "rb")
        self._ended = os.fdopen(pidfd, "rb")  # closed when this object is dropped

    def poll(self) -> int | None:
        """None while it runs. Its own exit code means nothing: it reports the command's."""
        return 0 if self._has_ended(0.0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Block until it has ended.

        Raises:
            subprocess.TimeoutExpired: still running after ``timeout`` seconds.
        """
        if not self._has_ended(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired("keeper", timeout)
        return 0

    def kill(self) -> None:
        """Send SIGKILL; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._ended.fileno(), signal.SIGKILL)

    def _has_ended(self, timeout_seconds: float | None) -> bool:
        poller = select.poll()
        poller.register(self._ended, select.POLLIN)
        return bool(poller.poll(None if timeout_seconds is None else 1e3 * timeout_seconds))


def serve() -> None:
    """The server's program: ``FD MODULE:FUNCTION MODULE...`` in ``sys.argv``."""
    descriptor, main, *modules = sys.argv[1:]
    owner_pid = os.getppid()
    name, _, function = main.partition(":")
    for module in (name, *modules):
        import_module(module)
    run: Callable[[], None] = getattr(import_module(name), function)
    with socket.socket(fileno=int(descriptor)) as connection:
        os.set_inheritable(connection.fileno(), False)
        while os.getppid() == owner_pid:
            ready, _, _ = select.select([connection], [], [], _LOOK_SECONDS)
            if ready and not _answer(connection, run):
                break
            _reap()


def _answer(connection: socket.socket, run: Callable[[], None]) -> bool:
    """Fork one keeper; false if the owner has hung up."""
    text, descriptors, _, _ = socket.recv_fds(connection, _MOST_MESSAGE_BYTES, 256)
    if not text:
        return False
    server_pid, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            _become_keeper(json.loads(text), descriptors, server_pid, run)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    pidfd = os.pidfd_open(pid)
    socket.send_fds(connection, [json.dumps({"pid": pid}).encode()], [pidfd])
    os.close(pidfd)
    return True


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become_keeper(
    order: dict[str, Any], descriptors: list[int], server_pid: int, run: Callable[[], None]
) -> None:
    """What Popen and exec do for a keeper that is started anew."""
    os.setsid()
    _keep_only(dict(zip([0, 1, 2, *order["fds"]], descriptors, strict=True)))
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])

    def become(command: list[str]) -> None:
        _forget_the_keeper()
        _keep_only({number: number for number in (0, 1, 2, *order["fds"])})
        sys.path.insert(0, "")  # as for `python -c`
        sys.argv[:] = ["-c", *command]
        try:
            run()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    keeper.main([str(server_pid), *order["arguments"]], become)
    os._exit(0)


def _keep_only(wanted: Mapping[int, int]) -> None:
    """Have open descriptors under these numbers, each of which is another's now; no others."""
    above = max(wanted) + 1
    held = {number: fcntl.fcntl(source, fcntl.F_DUPFD, above) for number, source in wanted.items()}
    for number, source in held.items():
        os.dup2(source, number)
    numbers = sorted(wanted)
    for below, number in pairwise([-1, *numbers, os.sysconf("SC_OPEN_MAX")]):
        if below + 1 < number:  # an empty range would close everything
            os.closerange(below + 1, number)


def _forget_the_keeper() -> None:
    """Signals as Python finds and sets them when it starts; secrets that no other process has."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "multiprocessing.process" in sys.modules:
        from multiprocessing import current_process

        current_process().authkey = os.urandom(32)
