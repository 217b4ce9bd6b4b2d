"""The owner's end of the generator process: start it, ask it, end it."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from course_app.load import limits
from course_app.load.limits import GeneratorEnded, LoadError
from course_app.load.wire import PipeClosed, read_frame, write_frame

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
START = (
    f"import sys; sys.path.append({str(PACKAGE_FOLDER)!r}); "
    "from course_app.load.engine.process import main; main()"
)
END_SECONDS = 2.0


class Child:
    """One generator process. It ends when this object's pipe closes, whatever closed it."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        # -P: a reader's own random.py or json.py must not stand in for the real ones
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,
        )
        self.cpu_seconds = 0.0
        self.ended = False

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(
        self, command: str, options: dict[str, Any], limit_seconds: float
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Send a command and wait for its answer, in C.

        Raises the LoadError that the process answers with, or GeneratorEnded. An interrupt ends the
        process, and its load with it: half an exchange must not be taken for the next one.
        """
        try:
            reply, arrays = self._exchange(command, options, limit_seconds)
        except BaseException:
            self.end()
            raise
        if "error" in reply:
            kind = getattr(limits, reply["error"], LoadError)
            raise kind(reply["message"])
        self.cpu_seconds = reply["cpu_seconds"]
        return reply, arrays

    def end(self) -> None:
        """Kill the process and wait for its end; nothing happens the second time."""
        if self.ended:
            return
        self.ended = True
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def _exchange(
        self, command: str, options: dict[str, Any], limit_seconds: float
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        replies = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(replies, select.POLLIN)
        try:
            header = {"command": command, "options": options}
            write_frame(self._process.stdin.fileno(), header)
            if not poller.poll(limit_seconds * 1000):
                raise GeneratorEnded(
                    f"The load generator did not come back within {limit_seconds:.0f} s and was "
                    "ended. Run the cell again; the next call starts a new one."
                )
            return read_frame(replies)
        except PipeClosed as closed:
            raise GeneratorEnded(
                f"The load generator ended unexpectedly ({self._last_words()}). Run the cell "
                "again; the next call starts a new one."
            ) from closed

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        size = os.fstat(self._errors.fileno()).st_size
        self._errors.seek(max(0, size - 4096))
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = [line for line in lines if line.strip()]
        return said[-1] if said else f"exit status {self._process.returncode}"
