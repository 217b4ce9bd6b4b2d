"""A submission in a process of its own, behind walls, with everything it does bounded."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from course_app.grading.candidate import Candidate
from course_app.grading.channel import Channel, NoReply
from course_app.grading.evidence import Failure, NotAttempted
from course_app.grading.failures import (
    DoesNotRun,
    DoesNotStart,
    Ended,
    StoppedAnswering,
    TookTooLong,
    WrongKindOfAnswer,
)
from course_app.grading.limits import Limits
from course_app.grading.source import describe_function
from course_app.grading.watcher import Watcher, end_tree
from course_app.grading.workspace import Workspace
from course_app.processes import OwnedProcess

# Python and the packages have to be read from the disk, perhaps beside a busy neighbour.
_CONNECT_SECONDS = 20.0
_STOP_SECONDS = 8.0
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "COURSE_PACE")


class ProcessCandidate(Candidate):
    """A notebook, a Python file or a function of the course, run and served in its own process.

    The process is started at once, so that it gets ready while other things are done.

    Args:
        answer: the path of a notebook or Python file, or a function of a module.
        values: names of what is handed in beside the app.
    """

    def __init__(
        self,
        role: str,
        workspace: Workspace,
        answer: object,
        limits: Limits,
        values: tuple[str, ...] = (),
    ) -> None:
        super().__init__(role, workspace)
        self._limits = limits
        self._order = _order(answer, workspace, limits, values)
        self._folder = Path(tempfile.mkdtemp(prefix="course-"))
        self._folder.chmod(
            0o711
        )  # the submission may be another user, on its way to its own folder
        self._work = self._folder / "work"
        self._work.mkdir()
        self._bring(answer)
        self._output = self._folder / "output"
        self._channel = Channel(self._folder / "line")
        self._process = self._spawn()
        self._watcher = Watcher(self._process, self._output, limits)
        self._url = ""
        self.values: Mapping[str, Any] = {}
        self.walls: tuple[str, ...] = ()
        self._loaded = False
        self._obstacle: Failure | NotAttempted | None = None

    @property
    def url(self) -> str:
        if not self._url:
            self.start()
        return self._url

    def start(self) -> None:
        self.load()
        reply = self._ask("start", self._limits.start_seconds + 5)
        match reply.get("state"):
            case "started":
                self._url = str(reply.get("url"))
            case "blank":
                raise NotAttempted
            case "no answer":
                raise WrongKindOfAnswer(_text(reply), "an ASGI app, or create_app")
            case _:
                raise DoesNotStart(_text(reply), "an app that starts")

    def load(self) -> None:
        """Run the submission's code, once.

        Raises:
            NotAttempted: it defines no answer.
            Failure: it cannot be run, or not within the limits.
        """
        if not self._loaded:
            self._loaded = True
            try:
                self._load()
            except (Failure, NotAttempted) as obstacle:
                self._obstacle = obstacle
        if self._obstacle is not None:
            raise self._obstacle

    def stop(self) -> float:
        self._url = ""
        reply = self._ask("stop", _STOP_SECONDS)
        seconds = reply.get("seconds")
        return float(seconds) if isinstance(seconds, int | float) else 0.0

    def cpu_seconds(self) -> float:
        total = 0.0
        for process in self._process.tree():
            total += _cpu_seconds(process.pid)
        return total

    def memory_bytes(self) -> int:
        total = 0
        for process in self._process.tree():
            total += process.memory_info().rss
        return total

    def log_tail(self) -> str:
        return self._process.output_tail()

    def check_alive(self) -> None:
        if self._watcher.failure is not None:
            raise self._watcher.failure
        if not self._process.running or self._channel.hung_up():
            raise Ended(self._last_words(), "a process that lives as long as the check")

    def close(self) -> None:
        self._watcher.close()
        if self._process.running:
            end_tree(self._process)
        self._channel.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self) -> None:
        reply = self._ask("load", self._limits.import_seconds)
        self.walls = tuple(map(str, reply.get("walls") or ()))
        match reply.get("state"):
            case "loaded":
                values = reply.get("values")
                self.values = values if isinstance(values, dict) else {}
            case "blank":
                raise NotAttempted
            case _:
                raise DoesNotRun(_text(reply), "code that runs from the first cell to the last")

    def _ask(self, what: str, seconds: float) -> dict[str, Any]:
        order = {"do": what, **(self._order if what == "load" else {})}
        try:
            if what == "load":
                self._channel.accept(_CONNECT_SECONDS)
            return self._channel.ask(order, seconds)
        except NoReply as silence:
            raise self._explain(silence, what, seconds) from silence

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
        code = self._process.returncode
        ended = "the process ended" if code is None else f"the process ended with exit code {code}"
        last = self.log_tail().strip().splitlines()[-1:]
        return f"{ended} ({last[0][:200]})" if last else ended

    def _bring(self, answer: object) -> None:
        if isinstance(answer, Path) and answer.is_file():
            shutil.copyfile(answer, self._work / f"submission{answer.suffix}")

    def _spawn(self) -> OwnedProcess:
        return OwnedProcess(
            [sys.executable, "-m", "course_app.grading.host", str(self._folder / "line")],
            env=_environment(self._work),
            cwd=self._work,
            output=self._output,
            remove=[self._folder],
        )


def _order(
    answer: object, workspace: Workspace, limits: Limits, values: tuple[str, ...]
) -> dict[str, Any]:
    source: dict[str, Any]
    if isinstance(answer, Path):
        source = {"file": f"submission{answer.suffix}"}
    else:
        source = {"function": describe_function(answer)}
    given = dict(workspace.given)
    return {
        **source,
        "given": given,
        "ports": workspace.ports,
        "limits": asdict(limits),
        "values": values,
    }


def _environment(folder: Path) -> dict[str, str]:
    """Little of the grader's environment: no home, no settings, no secrets of its user."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    home = str(folder)
    caches = {"XDG_CACHE_HOME": home, "MPLCONFIGDIR": home, "IPYTHONDIR": home, "TMPDIR": home}
    settings = {"MPLBACKEND": "agg", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **caches, **settings, "HOME": home, "PYTHONUNBUFFERED": "1"}


def _cpu_seconds(pid: int) -> float:
    """CPU of all threads of a process in seconds, to the nanosecond where the kernel tells."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
    except OSError:
        return 0.0
    return total / 1e9


def _text(reply: Mapping[str, Any]) -> str:
    return str(reply.get("text") or "no reason given")[:4000]
