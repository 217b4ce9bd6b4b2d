"""The generator process: asked in commands, and ended by an interrupt."""

from __future__ import annotations

from typing import Any

from course_app.load import limits
from course_app.load.limits import GeneratorEnded, LoadError
from course_app.worker.owner import Worker, WorkerEnded


class Child(Worker):
    """One generator process. It ends when this object's pipe closes, whatever closed it."""

    def __init__(self) -> None:
        super().__init__("course_app.load.engine.process")
        self.cpu_seconds = 0.0

    def command(
        self, command: str, options: dict[str, Any], limit_seconds: float
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Send a command and wait for its answer.

        Raises the LoadError that the process answers with, or GeneratorEnded. An interrupt ends the
        process, and its load with it.
        """
        try:
            reply, arrays = self.ask({"command": command, "options": options}, limit_seconds)
        except BaseException as error:
            self.end()
            if not isinstance(error, WorkerEnded):
                raise
            raise GeneratorEnded(
                f"The load generator {error}. Run the cell again; the next call starts a new one."
            ) from error
        if "error" in reply:
            kind = getattr(limits, reply["error"], LoadError)
            raise kind(reply["message"])
        self.cpu_seconds = reply["cpu_seconds"]
        return reply, arrays
