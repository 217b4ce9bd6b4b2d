"""The owner's end of the examined app's process: start it, ask it, end it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, NamedTuple, Self

from course_app.errors import CourseError
from course_app.examine.instruments.host import arguments
from course_app.examine.seen import Place
from course_app.examine.target import CannotExamine, Target
from course_app.processes import OwnedProcess
from course_app.serving.excerpt import own_output
from course_app.system import usage
from course_app.system.private_folders import folder_for_a_socket
from course_app.system.waiting import wait_until

_PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
#: An app that starts may do next to nothing for so long; while it works it may take longer, as
#: a large one does on a busy machine. Less than this share of a core is what looking at it takes.
START_SECONDS = 30.0
MOST_START_SECONDS = 120.0
_WORKING_SHARE = 0.1
ANSWER_SECONDS = 40.0
#: A loop that has not turned for so long after a time limit will not turn any more.
_GONE_SECONDS = 3.0
LOOK_SECONDS = 5.0
_STOP_SECONDS = 3.0
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}


class Held(NamedTuple):
    """What its loop does now: ``place`` is where it is held, None where nobody can say."""

    turns: bool
    place: Place | None


class WardGone(CourseError):
    """The app's process ended, or does not answer any more."""


class _Patience:
    """How long to wait for a process that starts."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = self._worked = time.monotonic()
        self._cpu_seconds = 0.0

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    def lasts(self) -> bool:
        """Whether it is worth waiting on."""
        used = usage.cpu_seconds(self._pid) or 0.0
        if used - self._cpu_seconds >= _WORKING_SHARE * START_SECONDS:
            self._cpu_seconds, self._worked = used, time.monotonic()
        idle = time.monotonic() - self._worked
        return idle < START_SECONDS and self.spent < MOST_START_SECONDS


class Ward:
    """An app in a process of its own, served with instruments, until ``stop``.

    Without instruments (``observed=False``) it serves the app and nothing else can be asked.

    Attributes:
        url: where it answers.

    Raises:
        CannotExamine: it does not load or start; the sentence says why.
    """

    def __init__(
        self, target: Target, services: Mapping[str, str], *, observed: bool = True
    ) -> None:
        self.target = target
        self._observed = observed
        self._folder = folder_for_a_socket("examine-")
        self._connection: Connection | None = None
        try:
            self._start(services)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        try:
            self.url = f"http://127.0.0.1:{self._started()}"
        except BaseException:
            self.stop()
            raise

    def _start(self, services: Mapping[str, str]) -> None:
        target, address = self.target, str(self._folder / "owner")
        self._listener = Listener(address, "AF_UNIX")
        path = os.pathsep.join(filter(None, (str(_PACKAGE_FOLDER), os.environ.get("PYTHONPATH"))))
        command = [
            *(sys.executable, "-P", "-m", "course_app.examine.instruments.host"),
            *arguments(address, target, dict(services), self._observed),
        ]
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        try:
            # Whatever ends this process, the keeper removes the folder.
            self._process = OwnedProcess(command, env=environment, remove=[self._folder])
        except BaseException:
            with suppress(OSError):
                self._listener.close()
            raise

    def ask(self, do: str, *, within: float = ANSWER_SECONDS, **details: Any) -> dict[str, Any]:
        """Have something done; blocks until it is.

        Raises:
            WardGone: the process has ended, or does not answer within so many seconds.
            CourseError: it answered that it could not do that.
        """
        if self._connection is None:
            raise WardGone(self.ended())
        try:
            self._connection.send_bytes(json.dumps({"do": do, **details}).encode())
            if not self._connection.poll(within):
                self._connection = None
                raise WardGone(
                    f"{self.target.text} does not react any more: its process answers nothing, "
                    f"not even its own instruments, for {within:.0f} s."
                )
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            self._connection = None
            raise WardGone(self.ended()) from None
        if "error" in answer:
            raise CourseError(f"{do}: {answer['error']}")
        return answer

    def held(self) -> Held:
        """Whether the app's loop turns, however long its answers take; where it is held if not."""
        try:
            answer = self.ask("held", within=LOOK_SECONDS)
        except CourseError:
            return Held(turns=False, place=None)
        place = answer["place"]
        return Held(answer["late"] < _GONE_SECONDS, Place(**place) if place else None)

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.running

    def ends_within(self, seconds: float) -> bool:
        """Wait so long at most for it to end by itself; whether it has."""
        return wait_until(lambda: not self._process.running, seconds)

    @property
    def crashed(self) -> bool:
        """Whether it ended below Python: by a signal that no program sends itself on purpose."""
        code = self._process.returncode
        return code is not None and -code in _CRASHES

    @property
    def said(self) -> str:
        """The end of what the app printed."""
        return own_output(self._process.output_tail(200))

    def stop(self) -> None:
        """End the process and all that it started; a second call does nothing."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.send_bytes(b'{"do": "end"}')
            self.ends_within(_STOP_SECONDS)
            with suppress(OSError):
                self._connection.close()
            self._connection = None
        self._process.stop(grace_seconds=0.5)
        with suppress(OSError):
            self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _started(self) -> int:
        accepted = threading.Thread(target=self._accept, daemon=True)
        accepted.start()
        patience = _Patience(self._process.pid)
        while patience.lasts():
            accepted.join(0.05)
            if self._connection is not None:
                break
            if not self._process.running:
                raise CannotExamine(self.ended())
        while self._connection is not None and patience.lasts():
            try:
                if not self._connection.poll(0.1):
                    continue
                answer = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                self._connection = None
                raise CannotExamine(self.ended()) from None
            if "failed" in answer:
                raise CannotExamine(self._failed(answer["failed"]))
            return int(answer["port"])
        raise CannotExamine(
            f"{self.target.text} did not start within {patience.spent:.0f} s: its import, its "
            f"factory or its lifespan waits for something.{self._printed()}"
        )

    def _accept(self) -> None:
        with suppress(OSError, EOFError):
            self._connection = self._listener.accept()

    def _failed(self, why: str) -> str:
        if why.startswith("its lifespan"):
            return f"{self.target.text} does not start: {why}.{self._printed()}"
        return why

    def ended(self) -> str:
        """How the process ended, in a sentence, with what it printed last."""
        self.ends_within(1.0)
        code = self._process.returncode
        how = (
            f"with exit status {code}"
            if code is not None and code >= 0
            else f"by signal {-(code or 0)}"
        )
        ended = "does not answer" if code is None else f"ended {how}"
        return f"The process of {self.target.text} {ended}.{self._printed()}"

    def _printed(self) -> str:
        said = self.said
        return f" It printed last:\n{said}" if said else " It printed nothing."
