"""Servers live exactly as long as their owner: a kernel, a script, in every way these can end."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from queued import LAST_WORDS_SECONDS
from service_labs import LAB, LIMIT_SECONDS, STAY, LabProcess, Traces

from course_app.services import Services, start_services
from course_app.system.waiting import wait_until

KERNEL_TIMEOUT_SECONDS = 60
QUERY = """
import psycopg, redis
print(psycopg.connect(services.postgres_dsn).execute("SELECT 41 + 1").fetchone()[0])
print(redis.Redis.from_url(services.valkey_url).ping())
"""


def each_slow(*values: object) -> Iterator[object]:
    return (pytest.param(value, marks=pytest.mark.slow) for value in values)


class Kernel:
    """A real Jupyter kernel that has started services."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=KERNEL_TIMEOUT_SECONDS)
        self.traces = Traces(**json.loads(self.run(LAB.format(dataset=False))))

    def run(self, code: str) -> str:
        """What the cell prints."""
        request = self.client.execute(code)
        printed, patience = "", KERNEL_TIMEOUT_SECONDS
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=patience)
            except Empty:
                return printed
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]
            if message["msg_type"] == "error":
                printed += message["content"]["ename"]
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                patience = LAST_WORDS_SECONDS  # what it printed may come after that
            if patience == LAST_WORDS_SECONDS and printed.endswith("\n"):
                return printed

    def pid(self) -> int:
        return int(self.run("import os; print(os.getpid())"))

    def close(self) -> None:
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    started = Kernel()
    yield started
    started.close()


def test_interrupting_the_kernel_leaves_the_servers_alone(kernel: Kernel, tmp_path: Path) -> None:
    # A file says that the cell runs: an interrupt while it prints would meet ipykernel's locks.
    running = tmp_path / "running"
    cell = f"import pathlib, time; pathlib.Path({str(running)!r}).touch(); time.sleep(60)"
    request = kernel.client.execute(cell)
    assert wait_until(running.exists, KERNEL_TIMEOUT_SECONDS)
    kernel.manager.interrupt_kernel()
    reply = {}
    while reply.get("parent_header", {}).get("msg_id") != request:
        reply = kernel.client.get_shell_msg(timeout=KERNEL_TIMEOUT_SECONDS)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert len(kernel.traces.living()) == len(kernel.traces.pids)
    assert kernel.run(QUERY).split() == ["42", "True"]


def restart(kernel: Kernel) -> None:
    kernel.manager.restart_kernel()


def shut_down(kernel: Kernel) -> None:
    kernel.manager.shutdown_kernel()


def shut_down_now(kernel: Kernel) -> None:
    kernel.manager.shutdown_kernel(now=True)


def kill_kernel(kernel: Kernel) -> None:
    os.kill(kernel.pid(), signal.SIGKILL)


def kill_supervisor(kernel: Kernel) -> None:
    os.kill(kernel.traces.pids[2], signal.SIGKILL)


# Of each kind of owner one way to end by default, and one helper that is killed.
@pytest.mark.parametrize(
    "event", [kill_kernel, *each_slow(restart, shut_down, shut_down_now, kill_supervisor)]
)
def test_nothing_is_left(kernel: Kernel, event: Callable[[Kernel], None]) -> None:
    event(kernel)
    assert wait_until(kernel.traces.gone, LIMIT_SECONDS), (
        kernel.traces.living(),
        kernel.traces.listening(),
    )
    with start_services(dataset=False):
        assert not Path(kernel.traces.folder).exists()


@pytest.mark.parametrize("member", [1, *each_slow(0, 2)], ids=["guard", "keeper", "supervisor"])
def test_nothing_is_left_when_any_helper_is_killed(
    start_lab: Callable[..., LabProcess], member: int
) -> None:
    traces = start_lab().traces
    os.kill(traces.pids[member], signal.SIGKILL)
    assert wait_until(traces.gone, LIMIT_SECONDS), (traces.living(), traces.listening())


def test_nothing_is_left_of_a_busy_server(start_lab: Callable[..., LabProcess]) -> None:
    busy = """
import psycopg, threading
connection = psycopg.connect(services.postgres_dsn)
query = "SELECT count(*) FROM generate_series(1, 1000000000000)"
threading.Thread(target=connection.execute, args=(query,), daemon=True).start()
sys.stdin.read()
"""
    lab = start_lab(then=busy)
    lab.end(signal.SIGKILL)
    assert wait_until(lab.traces.gone, LIMIT_SECONDS), (lab.traces.living(), lab.traces.listening())
    assert wait_until(lambda: not Path(lab.traces.folder).exists(), LIMIT_SECONDS)


@pytest.mark.parametrize(
    "last", ["import os; os._exit(3)", *each_slow("", "services.stop()", "1 / 0")]
)
def test_nothing_is_left_of_a_script(start_lab: Callable[..., LabProcess], last: str) -> None:
    lab = start_lab(then=last)
    lab.end()
    assert wait_until(lab.traces.gone, LIMIT_SECONDS)
    assert wait_until(lambda: not Path(lab.traces.folder).exists(), LIMIT_SECONDS)


def test_nothing_is_left_of_services_that_are_dropped(
    start_lab: Callable[..., LabProcess],
) -> None:
    lab = start_lab(then="del services\n" + STAY)
    assert wait_until(lab.traces.gone, LIMIT_SECONDS)
    assert lab.process.poll() is None


def test_a_forked_copy_of_the_owner_does_not_keep_the_servers(
    start_lab: Callable[..., LabProcess],
) -> None:
    fork = """
import os, time
if os.fork() == 0:
    for number in range(3):
        os.close(number)
    time.sleep(20)
    os._exit(0)
"""
    lab = start_lab(then=fork)
    lab.end()
    assert wait_until(lab.traces.gone, LIMIT_SECONDS)


def test_the_folder_of_a_lab_that_was_killed_whole_goes_at_the_next_start(
    start_lab: Callable[..., LabProcess],
) -> None:
    lab, neighbour = start_lab(), start_lab()
    keeper, guard, *others = lab.traces.pids
    for pid in (keeper, guard):
        os.kill(pid, signal.SIGSTOP)
    lab.end(signal.SIGKILL)
    for pid in (keeper, guard, *others):
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lab.traces.gone, LIMIT_SECONDS)
    assert Path(lab.traces.folder).exists()
    with start_services(dataset=False):
        assert not Path(lab.traces.folder).exists()
        assert Path(neighbour.traces.folder).exists()
    assert not neighbour.traces.gone()


def test_stopping_again_does_nothing() -> None:
    services = start_services(dataset=False)
    services.stop()
    services.stop()


def test_a_start_that_is_interrupted_leaves_nothing(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(open_folder))
    interrupted = 0
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for delay_seconds in (0.03, 0.06, 0.1, 0.15, 0.2):
            signal.setitimer(signal.ITIMER_REAL, delay_seconds)
            try:
                start_services().stop()
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert interrupted
    assert wait_until(lambda: not list(open_folder.iterdir()), LIMIT_SECONDS)


def test_the_session_lab_still_runs(services: Services) -> None:
    assert services.supervisor_pid is not None
    assert psutil.pid_exists(services.supervisor_pid)
