"""The owner's end of a worker: start it, ask it, end it."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_app.worker.frames import FrameReader, Header, PipeClosed, write_frame

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
END_SECONDS = 2.0


class WorkerEnded(Exception):
    """The worker is gone; the message goes on after its name: "ended unexpectedly (...)"."""


class Worker:
    """A process that runs ``main`` of a module and answers what it reads from standard input.

    It ends when this object's pipe closes, whatever closed it, if its loop looks for that. Each
    question has a number, which the answer has to bear: one that was interrupted may be answered
    late, and is not taken for the next one's.
    """

    def __init__(self, module: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        start = (
            f"import sys; sys.path.append({str(PACKAGE_FOLDER)!r}); "
            f"from {module} import main; main()"
        )
        # -P: a reader's own random.py or json.py must not stand in for the real ones
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self._reader = FrameReader(self._answers.fileno())
        self._numbers = itertools.count(1)
        self.ended = False

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(
        self, question: Mapping[str, Any], limit_seconds: float | None = None
    ) -> tuple[Header, dict[str, bytes]]:
        """Send a question and wait for its answer, in C. One at a time. Raises WorkerEnded."""
        number = next(self._numbers)
        poller = select.poll()
        try:
            poller.register(self._answers, select.POLLIN)
            write_frame(self._questions.fileno(), {"id": number, **question})
            while True:
                if not poller.poll(None if limit_seconds is None else 1e3 * limit_seconds):
                    self.end()
                    raise WorkerEnded(
                        f"did not come back within {limit_seconds:.0f} s and was ended"
                    )
                answer, arrays = self._reader.read()
                if answer["id"] == number:
                    return answer, arrays
        except PipeClosed as closed:
            raise WorkerEnded(f"ended unexpectedly ({self._last_words()})") from closed

    def end(self) -> None:
        """Kill the process and wait for its end; nothing happens the second time."""
        if self.ended:
            return
        self.ended = True
        self._process.kill()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        finally:  # an interrupt, too, leaves no pipe open
            for pipe in (self._questions, self._answers, self._errors):
                pipe.close()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        size = os.fstat(self._errors.fileno()).st_size
        self._errors.seek(max(0, size - 4096))
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = [line for line in lines if line.strip()]
        return said[-1] if said else f"exit status {self._process.returncode}"
