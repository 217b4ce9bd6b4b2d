"""A fork server: a process that has imported what commands need, and forks them ready to run.

Python and FastAPI take most of a second to start, and whoever runs foreign code does so in a
process of its own each time. Linux only: elsewhere libraries of the system do not survive a fork.

Processes that come from one server share its seed of ``hash``; where that matters, start anew.
"""

import contextlib
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
from course_app.system.platforms import PROC, is_linux

_ANSWER_SECONDS = 30.0
_LAST_WORDS_SECONDS = 1.0
_MOST_WORDS_BYTES = 1 << 16
#: How often it looks whether its owner is still there: see ``keeper.PARENT_CHECK_SECONDS``.
_LOOK_SECONDS = 0.5
_MOST_MESSAGE_BYTES, _MOST_DESCRIPTORS = 1 << 18, 253
# What lies in the current folder must not stand in for modules. (`-P` would be handed on.)
_PROGRAM = (
    "import sys; sys.path.remove(''); from course_app.processes.fork_server import serve; serve()"
)


class NotForked(OSError):
    """Nothing was forked: start anew what was wanted."""


class ForkServer:
    """The owner's end. The server ends with this process, however that ends.

    Where one order was not answered, nobody knows whose answer the next one is: then the server is
    not :attr:`usable` any more, and lives on for what it has forked.

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
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), main, *imports],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                env=env,
                cwd=os.sep,
                start_new_session=True,
            )
        self._broken = False

    @staticmethod
    def can_work() -> bool:
        """Whether this system can fork what has been imported, and watch what is not its child."""
        if not is_linux():
            return False
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (AttributeError, OSError):  # an old kernel, or a sandbox that refuses it
            return False
        return True

    @property
    def pid(self) -> int:
        """Its process id, which is the parent's of all that it forks."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Has it not ended?"""
        return self._process.poll() is None

    @property
    def usable(self) -> bool:
        """Can it be asked?"""
        return self.running and not self._broken

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
            NotForked: the server has ended, does not answer, or may not fork.
            OSError: there are no descriptors left here.
        """
        order = {"arguments": list(arguments), "env": dict(env), "cwd": cwd, "fds": [*pass_fds]}
        with contextlib.ExitStack() as mine, contextlib.ExitStack() as theirs:
            ask, standard_input = _pipe(theirs, mine)
            report, standard_output = _pipe(mine, theirs)
            sent = [ask, standard_output, output.fileno(), *pass_fds]
            answer, pidfd = self._exchange(json.dumps(order).encode(), sent)
            if pidfd is None:
                raise NotForked(f"the fork server cannot fork ({answer['error']})")
            mine.pop_all()
            return ForkedKeeper(answer["pid"], pidfd, standard_input, report)

    def _exchange(self, order: bytes, descriptors: list[int]) -> tuple[dict[str, Any], int | None]:
        """The answer to an order, and the descriptor that came with it."""
        with self._lock:
            if not self.usable:
                raise NotForked(f"the fork server has ended ({self._last_words()})")
            try:
                socket.send_fds(self._connection, [order], descriptors)
                text, found, _, _ = socket.recv_fds(self._connection, _MOST_MESSAGE_BYTES, 1)
                answer: dict[str, Any] = json.loads(text)
            except (OSError, ValueError) as error:
                self._broken = True
                raise NotForked(f"the fork server is silent ({self._last_words()})") from error
            except BaseException:  # an interrupt
                self._broken = True
                raise
        for descriptor in found:
            os.set_inheritable(descriptor, False)
        return answer, found[0] if found else None

    def close(self) -> None:
        """End it; what it has forked ends with it."""
        self._broken = True
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS_SECONDS)
        said = os.pread(self._errors.fileno(), _MOST_WORDS_BYTES, 0).decode(errors="replace")
        lines = [line for line in said.split("\n") if line.strip()]
        return lines[-1] if lines else "it says nothing"


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Both ends of a pipe, each closed with its stack."""
    ends = os.pipe()
    for end, stack in zip(ends, (reader, writer), strict=True):
        stack.callback(os.close, end)
    return ends


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
        wait_ms = None if timeout_seconds is None else 1e3 * max(0.0, timeout_seconds)
        return bool(poller.poll(wait_ms))


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
    text, descriptors, _, _ = socket.recv_fds(connection, _MOST_MESSAGE_BYTES, _MOST_DESCRIPTORS)
    if not text:
        return False
    server_pid = os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            try:
                _become_keeper(json.loads(text), descriptors, server_pid, run)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        answer: dict[str, Any] = {"pid": pid}
        pidfds = _pidfd_of(pid)
    except OSError as error:  # limits, which another time may allow it: those that run go on
        answer, pidfds = {"error": str(error)}, []
    socket.send_fds(connection, [json.dumps(answer).encode()], pidfds)
    for descriptor in (*descriptors, *pidfds):
        os.close(descriptor)
    return True


def _pidfd_of(pid: int) -> list[int]:
    """Raises OSError if there can be none; then the child is ended."""
    try:
        return [os.pidfd_open(pid)]
    except OSError:
        os.kill(pid, signal.SIGKILL)
        raise


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
    if "multiprocessing.process" in sys.modules:  # where its children look for modules
        vars(sys.modules["multiprocessing.process"])["ORIGINAL_DIR"] = order["cwd"]
    os.environ.clear()
    os.environ.update(order["env"])

    def become(command: list[str]) -> None:
        _forget_the_keeper()
        _keep_only({number: number for number in (0, 1, 2, *order["fds"])})
        sys.path.insert(0, "")  # as for `python -c`
        sys.argv[:] = ["-c", *command]
        try:
            run()
        except SystemExit as end:
            os._exit(end.code if isinstance(end.code, int) else 1 if end.code else 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    keeper.main([str(server_pid), *order["arguments"]], become)
    os._exit(0)


def _keep_only(wanted: Mapping[int, int]) -> None:
    """Have open descriptors under these numbers, each of which is another's now; no others."""
    import fcntl  # here, because Windows has none, and is told so by others

    above = max(wanted) + 1
    held = {number: fcntl.fcntl(source, fcntl.F_DUPFD, above) for number, source in wanted.items()}
    for number, source in held.items():
        os.dup2(source, number)
    with contextlib.suppress(OSError):  # where close_range is refused, a million calls otherwise
        for number in map(int, os.listdir(PROC / "self/fd")):
            if number not in wanted:
                with contextlib.suppress(OSError):  # the listing's own
                    os.close(number)
        return
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
