"""A submission in a process of its own, behind walls, with everything it does bounded."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from course_app.grading.candidate import Candidate, known, not_started
from course_app.grading.evidence import CouldNotCheck, Failure, NotAttempted
from course_app.grading.failures import DoesNotRun, WrongKindOfAnswer
from course_app.grading.hosting import HostProcess, file_name
from course_app.grading.limits import Limits, Walls
from course_app.grading.source import describe_function
from course_app.grading.workspace import Workspace

_STOP_SECONDS = 8.0
_COUNT_SECONDS = 5.0


class ProcessCandidate(Candidate):
    """A notebook, a Python file or a function of the course, run and served in its own process.

    Args:
        host: the process, started for this answer.
        answer: the path of a notebook or Python file, or a function of a module.
        names: names of what is handed in beside the app.
    """

    def __init__(
        self,
        role: str,
        workspace: Workspace,
        host: HostProcess,
        answer: object,
        limits: Limits,
        names: tuple[str, ...] = (),
    ) -> None:
        super().__init__(role, workspace)
        self._host = host
        host.watch_database(workspace.database_bytes)
        self._answer = answer
        self._names = names
        self._limits = limits
        self._order = {
            "do": "load",
            **_source(answer),
            "given": dict(workspace.given),
            "values": names,
        }
        self._url = ""
        self._loaded = False
        self._obstacle: Failure | NotAttempted | CouldNotCheck | None = None
        self.values: Mapping[str, Any] = {}
        self.walls = Walls(())

    @property
    def url(self) -> str:
        if not self._url:
            self.start()
        return self._url

    def start(self) -> None:
        self.load()
        reply, url = self._host.start(self._limits.start_seconds + 5)
        match reply.get("state"):
            case "started":
                self._url = url
            case "blank":
                raise NotAttempted
            case "no answer":
                raise WrongKindOfAnswer(_text(reply), "an ASGI app, or create_app")
            case _:
                raise not_started(_text(reply))

    def load(self) -> None:
        if not self._loaded:
            self._loaded = True
            try:
                self._load()
            except (Failure, NotAttempted, CouldNotCheck) as obstacle:
                self._obstacle = obstacle
        if self._obstacle is not None:
            raise self._obstacle

    def stop(self) -> float:
        self._url = ""
        reply = self._host.ask({"do": "stop"}, _STOP_SECONDS)
        seconds = reply.get("seconds")
        return float(seconds) if isinstance(seconds, int | float) else 0.0

    def cpu_seconds(self) -> float:
        return known(self._host.cpu_seconds(), "CPU time")

    def memory_bytes(self) -> int:
        return known(self._host.memory_bytes(), "memory")

    def helpers(self) -> set[int]:
        return self._host.helpers()

    def log_tail(self) -> str:
        return self._host.process.output_tail()

    def start_counting_encoder_calls(self) -> None:
        self._host.ask({"do": "start counting"}, _COUNT_SECONDS)

    def encoder_calls(self) -> float:
        calls = self._host.ask({"do": "stop counting"}, _COUNT_SECONDS).get("encoder_calls")
        return float(calls) if isinstance(calls, int | float) else math.inf

    def check_alive(self) -> None:
        self._host.check_alive()

    def frozen(self) -> AbstractContextManager[None]:
        return self._host.frozen()

    def another(self, workspace: Workspace | None = None) -> Candidate:
        workspace = workspace or self.workspace
        host = HostProcess(self._answer, self._limits, anew=True)
        return ProcessCandidate(self.role, workspace, host, self._answer, self._limits, self._names)

    def close(self) -> None:
        self._host.close()

    def _load(self) -> None:
        ours = self._order.get("function", {}).get("file")
        self.walls = self._host.enclose(self.workspace.ports, [ours] if ours else [])
        reply = self._host.ask(self._order, self._limits.import_seconds)
        match reply.get("state"):
            case "loaded":
                values = reply.get("values")
                self.values = values if isinstance(values, dict) else {}
            case "blank":
                raise NotAttempted
            case _:
                # Code that meets a limit may stop with an error before anybody saw why.
                self._host.check_alive()
                raise DoesNotRun(_text(reply), "code that runs from the first cell to the last")


def _source(answer: object) -> dict[str, Any]:
    if isinstance(answer, Path):
        return {"file": file_name(answer)}
    return {"function": describe_function(answer)}


def _text(reply: Mapping[str, Any]) -> str:
    return str(reply.get("text") or "no reason given")[:4000]
