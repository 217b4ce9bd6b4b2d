"""The owner's end of the proxy process: starts it, asks it, ends it."""

import itertools
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from course_app.network.errors import ProxyEnded
from course_app.network.frames import Message, Unpacker, pack

#: The folder that holds the package, for a process that does not see our ``sys.path``.
_PACKAGE_ROOT = Path(__file__).parents[2]

_READ_BYTES = 65536

#: The process has nothing to finish; after this it is killed.
_END_SECONDS = 2.0


class ProxyProcess:
    """One running proxy. Questions are answered in order, one at a time.

    ``-P`` keeps the current folder off the path of the new process: a learner's
    ``select.py`` beside the notebook is not for us.
    """

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "course_app.network.proxy"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self._unpacker = Unpacker()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def ask(self, do: str, **details: Any) -> Message:
        """Have something done; blocks in a pipe read until it is.

        Raises:
            ProxyEnded: the process is gone.
        """
        with self._lock:
            number = next(self._numbers)
            try:
                self._questions.write(pack({"id": number, "do": do, **details}))
                return self._answer_to(number)
            except (OSError, ValueError) as error:
                raise self._ended(str(error)) from None

    def end(self) -> None:
        """End the process; harmless when it has ended already."""
        with suppress(OSError):
            self._questions.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()

    def _answer_to(self, number: int) -> Message:
        while True:
            data = self._answers.read(_READ_BYTES)
            if not data:
                raise self._ended("its pipe is closed")
            for answer in self._unpacker.feed(data):
                if "crashed" in answer:
                    raise self._ended(answer["crashed"])
                # An answer to a question that was interrupted is of no use any more.
                if answer["id"] == number:
                    return answer

    def _ended(self, why: str) -> ProxyEnded:
        return ProxyEnded(
            f"The network proxy has ended ({why.strip()}); make a new one and the apps that use it."
        )
