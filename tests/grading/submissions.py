"""What learners hand in for the toy exercise, and what may be left of it: nothing."""

import contextlib
import os

import psutil

from course_app.grading import Limits
from course_app.system.waiting import wait_until

#: Soon reached.
TIGHT = Limits(import_seconds=4, start_seconds=3, request_seconds=1.5, memory_bytes=300 * 2**20)

RIGHT = """
from fastapi import FastAPI, HTTPException
app = FastAPI()

@app.get("/squares/{number}")
async def square(number: int):
    before()
    if number > 100_000:
        raise HTTPException(404, "too large")
    return {"square": number * number}

def before():
    pass
"""


def in_handler(code: str, extra: str = "") -> str:
    """A right answer whose handler does something else first."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    return f"{RIGHT}\nimport os, sys, time, socket\n{extra}\ndef before():\n{body}"


def no_services() -> object:
    raise AssertionError("the toy exercise needs no services")


def assert_nothing_runs(began: float, mark: str = "") -> None:
    """Nothing that was started for a submission since then is left, or is soon gone.

    Args:
        mark: stands in the environment of those that count; of all if empty.
    """
    assert wait_until(lambda: not leftovers(began, mark), 3), leftovers(began, mark)


def leftovers(began: float, mark: str) -> list[str]:
    """Hosts and processes of submissions' users that were started since then.

    The server that has forked them stays, for the next ones.
    """
    found = []
    for process in psutil.process_iter(["cmdline", "uids", "create_time", "status", "ppid"]):
        info = process.info
        if info["create_time"] < began - 1 or info["status"] == psutil.STATUS_ZOMBIE:
            continue
        command = " ".join(info["cmdline"] or ())
        host = "course_app.grading.host" in command
        server = "fork_server" in command and info["ppid"] == os.getpid()
        foreign = info["uids"] is not None and 61_000 <= info["uids"].real < 65_000
        if (host or foreign) and not server and is_marked(process, mark):
            found.append(f"{process.pid} {info['cmdline']}")
    return found


def is_marked(process: psutil.Process, mark: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(mark in value for value in process.environ().values())
    return False
