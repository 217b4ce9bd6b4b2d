"""The process around a submission: started, asked, watched and ended."""

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from course_app.grading.channel import Channel, NoReply
from course_app.grading.evidence import CouldNotCheck, Failure
from course_app.grading.failures import Ended, StoppedAnswering, TookTooLong
from course_app.grading.limits import Limits, Walls
from course_app.grading.source import is_readable
from course_app.grading.watcher import Watcher, end_tree, stop_tree
from course_app.processes import OwnedProcess
from course_app.processes.fork_server import ForkServer, NotForked
from course_app.processes.keeper import remove_tree
from course_app.serving.listener import open_listener
from course_app.system import usage

# Python and the packages have to be read from the disk, perhaps beside a busy neighbour.
_CONNECT_SECONDS = 20.0
# Not as `-m`: processes that a submission starts anew (multiprocessing's "spawn") import the main
# module again, and this way there is none.
_MODULE = "course_app.grading.host"
_PROGRAM = f"from {_MODULE} import main; main()"
# What most answers import.
_IMPORTED = ("asyncpg", "httpx", "redis.asyncio")
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "COURSE_PACE")


_servers: dict[tuple[int, str | None], ForkServer] = {}
_servers_lock = threading.Lock()


def fork_server() -> ForkServer | None:
    """Where hosts are forked ready to run, in a moment; none where the system cannot do that.

    It starts in the background when it is first asked for, and ends with this process.
    """
    if not ForkServer.can_work():
        return None
    environment = _environment()
    # Not another process's, if this one was forked; and what can be imported depends on the path.
    key = os.getpid(), environment.get("PYTHONPATH")
    with _servers_lock:
        if key not in _servers or not _servers[key].usable:
            _servers[key] = ForkServer(f"{_MODULE}:main", _IMPORTED, environment)
        return _servers[key]


def get_ready() -> None:
    """Have the fork server import what hosts need while something else is done."""
    with contextlib.suppress(OSError):  # whoever needs it says so
        fork_server()


class HostProcess:
    """A process that is ready to run one submission; it starts at once, in the background.

    Args:
        answer: the path of a notebook or Python file, which is copied into the only folder
            that the process may write to; anything else is found by the process itself.
        ours: it is not foreign code, but the course's own: it need not be watched as closely.
        anew: start Python anew, as a deployment does with each worker: it has its own seed for
            ``hash`` then, and what workers share must not depend on that.

    Raises:
        CouldNotCheck: it cannot be started, for want of room, say; or the file cannot be read.
    """

    def __init__(
        self, answer: object, limits: Limits, *, ours: bool = False, anew: bool = False
    ) -> None:
        self._limits = limits
        self._ours = ours
        try:
            try:
                self._start(answer, None if anew else fork_server())
            except NotForked:
                self._start(answer, None)
        except OSError as error:
            raise CouldNotCheck(
                f"No process for the answer could be started: {error}. The answer is not to blame: "
                "free some room where temporary files are kept, or set TMPDIR to a folder of "
                "yours, run `course doctor`, and check again."
            ) from error

    def _start(self, answer: object, server: ForkServer | None) -> None:
        # Each attempt has its own: the keeper of one that failed may remove it later.
        self._folder = Path(tempfile.mkdtemp(prefix="course-"))
        try:
            self._start_in_folder(answer, server)
        except BaseException:
            remove_tree(os.fspath(self._folder))
            raise

    def _start_in_folder(self, answer: object, server: ForkServer | None) -> None:
        self._server = server
        self._folder.chmod(0o711)  # the submission may be another user, on the way to its folder
        work, output = self._folder / "work", self._folder / "output"
        work.mkdir()
        if isinstance(answer, Path):
            _copy(answer, work)
        self._channel = Channel()
        line = self._channel.other_end
        program = [] if server else [sys.executable, "-c", _PROGRAM]
        try:
            self.process = OwnedProcess(
                [*program, str(line.fileno())],
                env=_environment(work),
                cwd=work,
                output=output,
                pass_fds=[line.fileno()],
                remove=[self._folder],
                fork_server=server,
            )
        except BaseException:
            self._channel.close()
            raise
        line.close()
        self._watcher = Watcher(self.process, output, work, self._limits, ours=self._ours)

    def enclose(self, ports: Sequence[int], files: Sequence[str] = ()) -> Walls:
        """Wait for the process, and have it raise its walls; no foreign code has run by then.

        Args:
            ports: the only TCP ports that it may connect to.
            files: those of ours that it has to read.

        Raises:
            CouldNotCheck: it did not come so far. That is never the fault of an answer.
        """
        order = {"do": "enclose", "limits": asdict(self._limits), "ports": tuple(ports)}
        order |= {"files": tuple(files)}
        try:
            reply = self._channel.ask(order, _CONNECT_SECONDS)
        except NoReply:
            reply = {"text": self._last_words()}
        if reply.get("state") != "enclosed":
            raise CouldNotCheck(
                f"The process that runs the answer could not be set up: {reply.get('text')}. Run "
                "`course doctor` and check again: the answer is not to blame."
            )
        return Walls(tuple(reply["standing"]), tuple(reply["missing"]))

    def start(self, seconds: float) -> tuple[dict[str, Any], str]:
        """Have the app made and served on a socket that we opened: its reply, and its address.

        Raises:
            Failure: why there is no reply.
        """
        with open_listener() as listener:
            host, port = listener.getsockname()
            reply = self.ask({"do": "start"}, seconds, [listener.fileno()])
        return reply, f"http://{host}:{port}"

    def ask(
        self, order: Mapping[str, Any], seconds: float, descriptors: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Send an order and wait for the reply.

        Raises:
            Failure: why there is none.
        """
        try:
            return self._channel.ask(order, seconds, descriptors)
        except NoReply as silence:
            raise self._explain(silence, str(order["do"]), seconds) from silence

    def check_alive(self) -> None:
        """Raises the failure that explains why nothing answers any more, if there is one.

        Raises:
            CouldNotCheck: it was not the process's own end.
        """
        if self._server is not None and not self._server.running:
            raise CouldNotCheck(
                "What runs the answers was ended from outside, by the system for want of memory "
                "perhaps. The answer is not to blame: check again."
            )
        if (failure := self._watcher.look_now()) is not None:
            raise failure
        if not self.process.running or self._channel.hung_up():
            raise Ended(self._last_words(), "a process that lives as long as the check")

    def cpu_seconds(self) -> float | None:
        """CPU of the process and all that it started; None where the system does not tell.

        What has ended is counted, too, with whoever waited for it: orphans with their guard. It
        is read first, so that what ends in between is not counted twice.
        """
        living = [process.pid for process in self.process.tree()]
        ended = usage.reaped_cpu_seconds([*living, self.process.guard_pid])
        now = usage.total_cpu_seconds(living)
        return None if now is None else now + ended

    def memory_bytes(self) -> int | None:
        """Memory of the process and all that it started; None where the system does not tell."""
        return usage.total_memory_bytes(process.pid for process in self.process.tree())

    def helpers(self) -> set[int]:
        """Ids of the processes that the process has started, or had started, and that run."""
        return {process.pid for process in self.process.tree()} - {self.process.pid}

    def watch_database(self, size_bytes: Callable[[], int]) -> None:
        """Look after its size, too, which the function tells in bytes."""
        self._watcher.database_bytes = size_bytes

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing that was started for the answer runs until the context is left."""
        stopped = stop_tree(self.process)
        try:
            yield
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.Error):
                    process.resume()

    def close(self) -> None:
        """End the process and all that it started, and remove its folder."""
        self._watcher.close()
        if self.process.running:
            end_tree(self.process)
        self._channel.close()
        remove_tree(os.fspath(self._folder))

    def _explain(self, silence: NoReply, what: str, seconds: float) -> Failure:
        """Why there is no reply: killed by the watcher, ended by itself, or hanging."""
        time.sleep(0.2)  # what ended it may take a moment to be known
        try:
            self.check_alive()
        except Failure as failure:
            return failure
        if silence.closed:
            return Ended(self._last_words(), "a process that lives as long as the check")
        if what == "stop":
            return StoppedAnswering(f"no shutdown within {seconds:g} s", "a shutdown")
        return TookTooLong(f"not ready after {seconds:g} s", f"{seconds:g} s at most")

    def _last_words(self) -> str:
        code = self.process.returncode
        ended = "the process ended" if code is None else f"the process ended with exit code {code}"
        last = self.process.output_tail().strip().splitlines()[-1:]
        return f"{ended} ({last[0][:200]})" if last else ended


def _copy(answer: Path, folder: Path) -> None:
    """Anything but a file (a pipe, a device) or gigabytes is missing from the folder, and told so.

    Raises:
        CouldNotCheck: we may not read it.
    """
    try:
        if is_readable(answer):
            shutil.copyfile(answer, folder / file_name(answer))
    except PermissionError as error:
        raise CouldNotCheck(
            f"{answer} cannot be read: {error.strerror}. Give yourself the right to read it "
            "(chmod u+r), and check again."
        ) from error


def file_name(answer: Path) -> str:
    """What a submission's file is called in its folder."""
    return f"submission{answer.suffix.lower()}"


def _environment(folder: Path | None = None) -> dict[str, str]:
    """Little of the grader's environment: no home, no settings, no secrets of its user."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    if "PYTHONPATH" in kept:  # what is relative would be the grader's own folder
        places = filter(os.path.isabs, kept["PYTHONPATH"].split(os.pathsep))
        kept["PYTHONPATH"] = os.pathsep.join(places)
    kept.setdefault("LANG", "C.UTF-8")
    settings = {"MPLBACKEND": "agg", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    settings["PYTHONUNBUFFERED"] = "1"
    homes = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "IPYTHONDIR", "TMPDIR") if folder else ()
    return {**kept, **settings, **dict.fromkeys(homes, str(folder))}
