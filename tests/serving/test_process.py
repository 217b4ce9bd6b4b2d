"""Apps served by real server programs in processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import httpx
import psutil
import pytest
from representatives import others_slow

from course_app.serving import (
    AppFailedToStart,
    ProcessServer,
    Program,
    ProgramMissing,
    ServerStopped,
    process,
    programs,
)
from course_app.system.waiting import wait_until

HELLO = "course_app.apps.hello:app"
#: Each of them; all but the first among the long proofs.
PROGRAMS = [
    pytest.param(program, marks=[pytest.mark.slow] if number else [])
    for number, program in enumerate(get_args(Program))
]

#: What the house promises after a kill -9.
GONE_SECONDS = 3.0


def answering_pids(server: ProcessServer, requests: int = 60) -> set[int]:
    """Processes that answer requests, each on a connection of its own."""
    pids = set()
    for _ in range(requests):
        with urllib.request.urlopen(f"{server.url}/pid", timeout=10) as answer:
            pids.add(json.load(answer)["pid"])
    return pids


def is_open(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=PROGRAMS)
def two_workers(request: pytest.FixtureRequest) -> Iterator[ProcessServer]:
    with ProcessServer(HELLO, program=request.param, workers=2) as server:
        yield server


def test_all_workers_answer_as_soon_as_the_server_is_there(two_workers: ProcessServer) -> None:
    pids = answering_pids(two_workers)
    assert len(pids) == 2
    assert pids <= {process.pid for process in two_workers.processes()}


def test_cpu_time_of_the_tree_grows_with_its_work(two_workers: ProcessServer) -> None:
    before = two_workers.cpu_seconds()
    time.sleep(0.2)
    idle = two_workers.cpu_seconds() - before
    answering_pids(two_workers, requests=100)
    assert two_workers.cpu_seconds() - before - idle > idle


def test_shared_memory_is_counted_once(two_workers: ProcessServer) -> None:
    resident = sum(process.memory_info().rss for process in two_workers.processes())
    assert 10e6 < two_workers.pss_bytes() < resident


def test_nothing_is_left_after_the_stop() -> None:
    server = ProcessServer(HELLO, program="gunicorn", workers=2)
    processes = server.processes()
    server.stop()
    server.stop()
    assert len(processes) >= 3
    assert not any(process.is_running() for process in processes)
    assert not is_open(server.port)
    with pytest.raises(ServerStopped):
        server.cpu_seconds()


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_app_that_fails_to_start_is_told_by_its_own_line(program: Program) -> None:
    with pytest.raises(AppFailedToStart) as caught:
        ProcessServer("course_app.apps.hello:broken", program=program)
    text = str(caught.value)
    assert 'os.environ["COURSE_SETTING_THAT_NOBODY_MAKES"]' in text
    assert "KeyError" in text
    assert "starlette" not in text


def test_an_app_that_cannot_be_imported_is_told(tmp_path: Path) -> None:
    with pytest.raises(AppFailedToStart, match="no_such_module"):
        ProcessServer("no_such_module:app", cwd=tmp_path)


@pytest.mark.slow
def test_workers_that_fail_again_and_again_do_not_take_the_whole_time_limit() -> None:
    start = time.monotonic()
    with pytest.raises(AppFailedToStart):
        ProcessServer("course_app.apps.hello:broken", workers=2, startup_timeout_seconds=60)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("workers", others_slow(1, [1, 2]))
def test_a_handled_error_and_a_program_that_has_ended_are_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(process, "_AFTER_TRACEBACK_SECONDS", 0.0)
    (tmp_path / "careful.py").write_text(
        "import subprocess, time, traceback\n"
        "try:\n"
        "    import no_such_module\n"
        "except ImportError:\n"
        "    traceback.print_exc()\n"
        "subprocess.run(['sleep', '0.2'])\n"
        "time.sleep(0.2)\n"
        "import fastapi\n"
        "app = fastapi.FastAPI()\n"
    )
    with ProcessServer("careful:app", cwd=tmp_path, workers=workers) as server:
        assert "Traceback" in server.output_tail()


def test_an_app_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "sleepy.py").write_text("import time\ntime.sleep(600)\n")
    with pytest.raises(AppFailedToStart, match=r"within 1 s"):
        ProcessServer("sleepy:app", cwd=tmp_path, startup_timeout_seconds=1)


def test_variables_and_options_reach_the_program(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(
        "import os, fastapi\n"
        "app = fastapi.FastAPI()\n"
        "@app.get('/')\n"
        "def echo(): return [os.environ['COURSE_ECHO'], os.environ.get('PATH')]\n"
    )
    options = ("--header", "x-option:given")
    with ProcessServer(
        "echo:app", cwd=tmp_path, env={"COURSE_ECHO": "yes"}, arguments=options
    ) as server:
        answer = httpx.get(server.url)
    assert answer.json() == ["yes", os.environ.get("PATH")]
    assert answer.headers["x-option"] == "given"


def test_a_program_that_is_not_installed_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(programs._NEEDS, "granian", {"no_such_module": "granian"})
    with pytest.raises(ProgramMissing, match=r"pip install \"granian\""):
        ProcessServer(HELLO, program="granian")


OWNER = f"""
import time
from course_app.serving import ProcessServer
server = ProcessServer("{HELLO}", program="gunicorn", workers=2)
print(server.port, *[process.pid for process in server.processes()], flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not end orphans")
def test_no_worker_outlives_an_owner_that_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    port, *pids = (int(number) for number in owner.stdout.readline().split())
    assert len(pids) >= 3
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert wait_until(lambda: not any(map(psutil.pid_exists, pids)), GONE_SECONDS)
    assert not is_open(port)
