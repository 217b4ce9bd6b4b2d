"""Runs one submission: the program inside of the walls.

Started as ``python -c "..." FD``, which calls ``main``. It takes orders from the grader over a
socket that it inherits, one JSON object a line, and answers each in the same way. It holds nothing
that is worth stealing: points are given on the other side, from what can be seen there.
"""

import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fastapi  # noqa: F401  read now, while the grader prepares the rest

from course_app.grading.answers import ANSWER_NAMES, NotAnAnswer, is_blank, make_app
from course_app.grading.evidence import NotAttempted
from course_app.grading.limits import Limits, enclose, give_room
from course_app.grading.source import Loaded, NotRunnable, load_file, load_function
from course_app.measure.probes.encoder import EncoderProbe
from course_app.serving import AppFailedToStart, ThreadServer

Reply = dict[str, Any]
_MOST_VALUE_CHARACTERS = 200_000
_MOST_ERROR_CHARACTERS = 4_000


class Host:
    """Carries out orders; ``enclose`` first, then ``load``."""

    def __init__(self) -> None:
        self._answer: object = None
        self._given: Mapping[str, str] = {}
        self._limits = Limits()
        self._server: ThreadServer | None = None
        self._encoder = EncoderProbe()

    def enclose(self, order: Mapping[str, Any]) -> Reply:
        """Raise the walls. What goes wrong so far is no submission's fault."""
        self._limits = Limits(**order["limits"])
        try:
            give_room(self._limits, Path.cwd())
            walls = enclose(
                self._limits, Path.cwd(), order["ports"], [Path(file) for file in order["files"]]
            )
        except Exception as error:
            return {"state": "refused", "text": f"{type(error).__name__}: {error}"}
        return {"state": "enclosed", "standing": walls.standing, "missing": walls.missing}

    def load(self, order: Mapping[str, Any]) -> Reply:
        """Run the submission's code."""
        self._given = order["given"]
        try:
            loaded = _load(order)
        except NotRunnable as error:
            return {"state": "broken", "text": str(error)}
        return self._found(loaded, order["values"])

    def start(self, listener: socket.socket) -> Reply:
        """Make the app and serve it where the grader listens."""
        try:
            # A function, so that the server calls create_app on its own loop, as uvicorn does.
            self._server = ThreadServer(
                lambda: make_app(self._answer, self._given),
                name="app",
                listener=listener,
                startup_timeout_seconds=self._limits.start_seconds,
            )
        except AppFailedToStart as error:
            if isinstance(error.original, NotAnAnswer):
                return {"state": "no answer", "text": str(error.original)}
            blank = isinstance(error.original, NotAttempted | NotImplementedError)
            return {"state": "blank" if blank else "failed", "text": str(error)}
        except Exception:
            return {"state": "failed", "text": _shortened(traceback.format_exc())}
        return {"state": "started"}

    def stop(self, _order: Mapping[str, Any]) -> Reply:
        """Shut the app down; this process stays."""
        began = time.monotonic()
        if self._server is not None:
            self._server.stop()
        return {"state": "stopped", "seconds": time.monotonic() - began}

    def start_counting(self, _order: Mapping[str, Any]) -> Reply:
        """Begin to count calls of FastAPI's encoder."""
        self._encoder.start()
        return {"state": "counting"}

    def stop_counting(self, _order: Mapping[str, Any]) -> Reply:
        """How many there were."""
        return {"state": "counted", "encoder_calls": self._encoder.stop()[0].value}

    def _found(self, loaded: Loaded, values: list[str]) -> Reply:
        names = loaded.namespace
        answers = [names[n] for n in ANSWER_NAMES if n in names and not is_blank(names[n])]
        if not answers:
            if loaded.error:
                return {"state": "broken", "text": loaded.error}
            return {"state": "blank"}
        self._answer = answers[0]
        return {"state": "loaded", "values": {n: _as_json(names.get(n)) for n in values}}


def _load(order: Mapping[str, Any]) -> Loaded:
    if "function" in order:
        return load_function(order["function"])
    return load_file(Path(order["file"]), order["given"])


def _as_json(value: object) -> Any:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return json.loads(text) if len(text) <= _MOST_VALUE_CHARACTERS else None


def _shortened(text: str) -> str:
    return text[-_MOST_ERROR_CHARACTERS:]


def serve(connection: socket.socket) -> None:
    """Answer orders until the grader hangs up."""
    host = Host()
    orders: dict[str, Callable[[Mapping[str, Any]], Reply]] = {
        "enclose": host.enclose,
        "load": host.load,
        "stop": host.stop,
        "start counting": host.start_counting,
        "stop counting": host.stop_counting,
    }
    while (order := _next_order(connection)) is not None:
        text, descriptors = order
        wanted = json.loads(text)
        if wanted["do"] == "start":
            reply = host.start(_listener(descriptors[0]))
        else:
            reply = orders[wanted["do"]](wanted)
        connection.sendall(json.dumps(reply).encode() + b"\n")


def _next_order(connection: socket.socket) -> tuple[bytes, list[int]] | None:
    """A line, and the descriptors that came with it; None at the end."""
    text, descriptors = b"", list[int]()
    while not text.endswith(b"\n"):
        part, found, _, _ = socket.recv_fds(connection, 65536, 1)
        if not part:
            return None
        text += part
        descriptors += found
    return text, descriptors


def _listener(descriptor: int) -> socket.socket:
    # The protocol is named for asyncio: see `course_app.serving.listener`.
    os.set_inheritable(descriptor, False)
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, descriptor)


def main() -> None:
    """Serve the grader; then end at once, whatever threads still do."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # programs that a submission starts have no part in it
    serve(socket.socket(fileno=descriptor))
    os._exit(0)
