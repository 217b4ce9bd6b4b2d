"""Runs inside of Locust, before a submission's locustfile: nothing it does gets out.

It may write to its own folder only (where the report is), and connect to the port in the
environment variable ``COURSE_LOCUST_PORT`` only. Its users never wait, so that the number of
requests does not depend on what the locustfile thinks of waiting.
"""

import os
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import TaskSet

from course_app.grading.limits import Limits, enclose


def _no_pause(_self: Any, _seconds: float) -> None:
    gevent.sleep(0)


_task_set: Any = TaskSet
_task_set._sleep = _no_pause

enclose(Limits(), Path.cwd(), [int(os.environ["COURSE_LOCUST_PORT"])])
