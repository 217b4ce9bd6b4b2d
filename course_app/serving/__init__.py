"""Run an ASGI app: in a thread of this process, or as worker processes of a server program."""

from course_app.serving.errors import (
    AppDoesNotAnswer,
    AppFailedToStart,
    ProgramMissing,
    ServerStopped,
    ServingError,
    UsageNotKnown,
)
from course_app.serving.process import ProcessServer
from course_app.serving.programs import Program
from course_app.serving.queue_worker import QueueWorker
from course_app.serving.thread import ThreadServer

__all__ = [
    "AppDoesNotAnswer",
    "AppFailedToStart",
    "ProcessServer",
    "Program",
    "ProgramMissing",
    "QueueWorker",
    "ServerStopped",
    "ServingError",
    "ThreadServer",
    "UsageNotKnown",
]
