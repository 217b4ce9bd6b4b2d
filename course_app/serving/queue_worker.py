"""A worker of a job queue as a process of its own: it ends with its owner."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Self

import psutil

from course_app.processes import OwnedProcess
from course_app.serving.errors import AppFailedToStart
from course_app.serving.excerpt import own_output

_LOOK_AGAIN_SECONDS = 0.02
#: What arq says of its server once it is connected; from then on it takes jobs.
_CONNECTED = "redis_version="
_STOP_GRACE_SECONDS = 3.0
#: ``python -m arq`` and an event loop for it: since Python 3.14 the main thread has none.
_ARQ = (
    "import asyncio; asyncio.set_event_loop(asyncio.new_event_loop()); "
    "from arq.cli import cli; cli(prog_name='arq')"
)


class QueueWorker:
    """``python -m arq SETTINGS``: takes jobs out of a queue in Valkey and does them.

    Starts when made, and is ready when it is connected to the queue. No process is left when
    it is stopped or when its owner ends, however that happens.

    Args:
        settings: "package.module.Class", arq's settings of a worker.
        env: variables added to this process's environment.

    Raises:
        AppFailedToStart: it ended, or did not connect in time.
    """

    def __init__(
        self,
        settings: str,
        *,
        env: Mapping[str, str] | None = None,
        startup_timeout_seconds: float = 20.0,
    ) -> None:
        self.settings = settings
        command = [sys.executable, "-c", _ARQ, settings]
        self._process = OwnedProcess(command, env={**os.environ, **(env or {})})
        try:
            self._wait_until_connected(startup_timeout_seconds)
        except BaseException:
            self.stop()
            raise

    def processes(self) -> list[psutil.Process]:
        """The worker and all it has started; empty once it has ended."""
        return self._process.tree()

    def output_tail(self, lines: int = 20) -> str:
        """The last lines that it printed."""
        return self._process.output_tail(lines)

    def stop(self) -> None:
        """End it: asked first, killed after three seconds. Safe to call again."""
        self._process.stop(grace_seconds=_STOP_GRACE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self._process.running else "ended"
        return f"<QueueWorker {self.settings}: {state}>"

    def _wait_until_connected(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while _CONNECTED not in self.output_tail(200):
            if not self._process.running:
                raise self._failed("ended while it started")
            if time.monotonic() > deadline:
                raise self._failed(f"was not connected within {timeout_seconds:g} s")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def _failed(self, what: str) -> AppFailedToStart:
        return AppFailedToStart(
            f'The worker "{self.settings}" {what}. It printed last:\n'
            f"{own_output(self.output_tail(200)) or '(nothing)'}\n"
            "Check that its settings can be imported and that Valkey answers."
        )
