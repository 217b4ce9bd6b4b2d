"""An importable ASGI app served by a real server program and its worker processes."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import psutil

from course_app.processes import OwnedProcess
from course_app.serving.errors import AppFailedToStart, ServerStopped, UsageNotKnown
from course_app.serving.excerpt import own_output
from course_app.serving.listener import LOOPBACK, reserved_port
from course_app.serving.programs import Program, command
from course_app.serving.readiness import answers
from course_app.system import usage
from course_app.system.sockets import accepting

Number = TypeVar("Number", int, float)

_LOOK_AGAIN_SECONDS = 0.05
#: A look at many processes takes a while; pauses this much longer leave the cores to them.
_PAUSE_PER_LOOK = 6.0
#: If a worker has ended with a traceback, and none serves so long after another one has taken its
#: place, none will.
_AFTER_TRACEBACK_SECONDS = 1.5
_TRACEBACK = "Traceback (most recent"
#: What ends the lifespans of all workers; after it they are killed.
_STOP_GRACE_SECONDS = 3.0


class ProcessServer:
    """An app on ``http://127.0.0.1:PORT``, served by worker processes of a server program.

    Starts when made, and is ready when every worker accepts connections and one has answered.
    No process is left when it is stopped or when its owner ends, however that happens.
    Use it as a context manager, or call :meth:`stop`.

    Args:
        app: "package.module:name", importable from ``cwd`` or the environment.
        program: gunicorn runs uvicorn's workers (``uvicorn_worker.UvicornWorker``).
        env: variables added to this process's environment.
        arguments: options of the program; they win over ours.

    Raises:
        ProgramMissing: the program is not installed.
        AppFailedToStart: it exited, or the app was not served in time.
    """

    def __init__(
        self,
        app: str,
        *,
        name: str | None = None,
        program: Program = "uvicorn",
        workers: int = 1,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        cwd: Path | None = None,
        startup_timeout_seconds: float = 20.0,
    ) -> None:
        self.name = name or app
        self.app = app
        self.program = program
        self.workers = workers
        with reserved_port() as port:
            self.port = port
            self.url = f"http://{LOOPBACK}:{port}"
            line = command(program, app, port=port, workers=workers, arguments=arguments)
            self._process = OwnedProcess(line, env={**os.environ, **(env or {})}, cwd=cwd)
            try:
                self._wait_until_ready(startup_timeout_seconds)
            except BaseException:
                self.stop()
                raise

    def processes(self) -> list[psutil.Process]:
        """The program and all it has started: a parent, if it has one, and the workers."""
        return self._process.tree()

    def cpu_seconds(self) -> float:
        """CPU time that the living processes have used, in seconds.

        Exact to the nanosecond on Linux, to a microsecond on macOS. A worker that ends takes its
        share along, so compare readings only while the same processes live.

        Raises:
            ServerStopped: no process lives.
            UsageNotKnown: the system does not tell.
        """
        return self._known("CPU time", usage.total_cpu_seconds(self._living()))

    def pss_bytes(self) -> int:
        """Memory of all processes: shared pages are divided among those that share them.

        Proportional set size on Linux; on macOS the footprint that Activity Monitor shows.

        Raises:
            ServerStopped: no process lives.
            UsageNotKnown: the system does not tell.
        """
        return self._known("memory", usage.total_memory_bytes(self._living()))

    def connections(self) -> dict[int, int]:
        """Clients' connections now, by the process id of the worker that accepted them."""
        found: dict[int, int] = {}
        for process in self.processes():
            with suppress(psutil.Error):
                for connection in process.net_connections("tcp"):
                    mine = connection.laddr and connection.laddr.port == self.port
                    if mine and connection.status == psutil.CONN_ESTABLISHED:
                        found[process.pid] = found.get(process.pid, 0) + 1
        return found

    def output_tail(self, lines: int = 20) -> str:
        """The last lines that the program printed."""
        return self._process.output_tail(lines)

    def gone(self) -> ServerStopped:
        """The error for a server that accepts no connections any more."""
        return ServerStopped(
            f'"{self.name}" accepts no connections any more: its workers have ended. They printed '
            f"last:\n{own_output(self.output_tail(200)) or '(nothing)'}\n"
            "Start it again; if that happens again, call the app in a notebook cell to see why."
        )

    def stop(self) -> None:
        """End all processes: asked first, killed after three seconds. Safe to call again."""
        self._process.stop(grace_seconds=_STOP_GRACE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = self.url if self._process.running else "stopped"
        return f"<ProcessServer {self.name} ({self.program} x {self.workers}): {state}>"

    def _living(self) -> list[int]:
        living = [process.pid for process in self.processes()]
        if not living:
            raise ServerStopped(f'The server of "{self.name}" has ended; start a new one.')
        return living

    def _known(self, what: str, reading: Number | None) -> Number:
        if reading is None:
            raise UsageNotKnown(
                f'The {what} of "{self.name}" cannot be read here. Go on without it: what is '
                "counted and what clients see does not need it."
            )
        return reading

    def _wait_until_ready(self, timeout_seconds: float) -> None:
        start = time.monotonic()
        seen: set[int] = set()
        replaced: float | None = None
        while True:
            looked = time.monotonic()
            processes = self._process.tree()
            if self._is_ready(processes):
                return
            now = time.monotonic()
            if not self._process.running:
                raise self._failed("ended while it started")
            started = self._started_by_the_program(processes) if self.workers > 1 else set()
            # A traceback alone proves nothing: an app may print one that it has handled. Nor does
            # a process that has ended: an app may run a program. Only workers are replaced.
            another = bool(seen - started and started - seen)
            if replaced is None and another and _TRACEBACK in self.output_tail(200):
                replaced = now
            if replaced is not None and now - replaced > _AFTER_TRACEBACK_SECONDS:
                raise self._failed("failed to start")
            seen |= started
            if now - start > timeout_seconds:
                raise self._failed(f"was not ready within {timeout_seconds:g} s")
            time.sleep(max(_LOOK_AGAIN_SECONDS, _PAUSE_PER_LOOK * (now - looked)))

    def _started_by_the_program(self, processes: Sequence[psutil.Process]) -> set[int]:
        found = set()
        for process in processes:
            with suppress(psutil.Error):
                if process.ppid() == self._process.pid:
                    found.add(process.pid)
        return found

    def _is_ready(self, processes: Sequence[psutil.Process]) -> bool:
        # Asked only once all workers listen: the answer then comes from this tree, and the
        # question waits in nobody's queue.
        ready = accepting(processes, self.port) >= self.workers
        return ready and answers(self.port, timeout_seconds=1.0)

    def _failed(self, what: str) -> AppFailedToStart:
        return AppFailedToStart(
            f'"{self.name}" ({self.program}) {what}. It printed last:\n'
            f"{own_output(self.output_tail(200)) or '(nothing)'}\n"
            "Try to import the app in a notebook cell; its error shows there in full."
        )
