"""What a fork server forks is like what is started anew, and ends like it."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from living import is_alive
from representatives import others_slow

from course_app.processes import OwnedProcess
from course_app.processes.fork_server import ForkServer, NotForked
from course_app.system.waiting import wait_until

HERE = str(Path(__file__).parent)
# With a locale, so that Python does not choose one.
ENVIRONMENT = {"PYTHONPATH": HERE, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
ENVIRONMENT["PYTHONUNBUFFERED"] = "1"
LIMIT_SECONDS = 3.0

pytestmark = pytest.mark.skipif(not ForkServer.can_work(), reason="needs Linux")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    started = ForkServer("forked:main", (), ENVIRONMENT)
    yield started
    started.close()


@pytest.mark.parametrize("way", ["stop", "drop", "kill keeper", "kill guard", "kill server"])
def test_everything_ends(way: str) -> None:
    server = ForkServer("forked:main", (), ENVIRONMENT)
    process = OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server)
    assert wait_until(lambda: len(process.tree()) >= 3, LIMIT_SECONDS)
    pids = [member.pid for member in process.tree()] + [process.keeper_pid, process.guard_pid]
    ways: dict[str, Callable[[], object]] = {
        "stop": process.stop,
        "drop": lambda: None,
        "kill keeper": lambda: os.killpg(process.keeper_pid, signal.SIGKILL),
        "kill guard": lambda: os.killpg(process.guard_pid, signal.SIGKILL),
        "kill server": lambda: os.kill(server.pid, signal.SIGKILL),
    }
    ways[way]()
    if way == "drop":
        del process, ways
    assert wait_until(lambda: not any(map(is_alive, pids)), LIMIT_SECONDS)
    if way != "drop":
        assert not process.running
        process.stop()  # does nothing
    server.close()


def test_everything_ends_when_the_owner_is_killed() -> None:
    owner = f"""
import os, time
from course_app.processes import OwnedProcess
from course_app.processes.fork_server import ForkServer
environment = {ENVIRONMENT!r}
server = ForkServer("forked:main", (), environment)
process = OwnedProcess(["family"], env=environment, fork_server=server)
while len(process.tree()) < 3:
    time.sleep(0.02)
pids = [member.pid for member in process.tree()]
print(*pids, process.keeper_pid, process.guard_pid, server.pid, flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pids = [int(pid) for pid in running.stdout.readline().split()]
        running.kill()
    assert len(pids) >= 6
    assert wait_until(lambda: not any(map(is_alive, pids)), LIMIT_SECONDS)


def described(command: list[str], folder: Path, server: ForkServer | None) -> dict[str, Any]:
    """What a program finds that is handed one descriptor."""
    env = {**ENVIRONMENT, "WORD": "näive"}
    with tempfile.TemporaryFile() as handed:
        process = OwnedProcess(
            [*command, "describe", "", "two words", "$HOME", "-x", "naïve"],
            env=env,
            cwd=folder,
            output=folder / "out",
            pass_fds=[handed.fileno()],
            fork_server=server,
        )
        assert process.wait(10.0) == 0
    told, trouble = (folder / "out").read_text().splitlines()
    assert trouble == "trouble"
    found: dict[str, Any] = json.loads(told)
    return found


def test_a_program_finds_what_it_would_find_if_it_was_started_anew(
    server: ForkServer, tmp_path: Path
) -> None:
    anew = described([sys.executable, "-c", "from forked import main; main()"], tmp_path, None)
    forked = described([], tmp_path, server)
    handed = [place for place in anew["descriptors"].values() if "deleted" in place]
    assert len(handed) == 1
    # It is another file each time; the number is the same.
    assert list(forked.pop("descriptors")) == list(anew.pop("descriptors"))
    assert forked == anew


def test_nobody_else_knows_its_secrets_and_it_knows_nobody_elses(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_OWNER", "1")
    told = []
    for _ in range(2):
        process = OwnedProcess(["secrets"], env=ENVIRONMENT, fork_server=server)
        process.wait(10.0)
        assert "PYTHONPATH" in process.output_tail()
        assert "SECRET_OF_THE_OWNER" not in process.output_tail()
        told.append(process.output_tail().split()[:2])
    assert not set(told[0]) & set(told[1])


@pytest.mark.parametrize(("told", "code"), [("0", 0), ("3", 3), ("-9", -9)])
def test_its_end_is_told(server: ForkServer, told: str, code: int) -> None:
    process = OwnedProcess(["leave", told], env=ENVIRONMENT, fork_server=server)
    assert process.wait(5.0) == code


def test_folders_are_removed_after_its_end(server: ForkServer, tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    OwnedProcess(["leave", "0"], env=ENVIRONMENT, remove=[folder], fork_server=server).wait(5.0)
    assert not folder.exists()


def test_waiting_has_a_limit(server: ForkServer) -> None:
    with (
        OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server) as process,
        pytest.raises(TimeoutError),
    ):
        process.wait(0.1)


def test_the_server_keeps_nothing_of_what_it_has_forked(server: ForkServer) -> None:
    before = psutil.Process(server.pid).num_fds()
    for _ in range(3):
        OwnedProcess(["leave", "0"], env=ENVIRONMENT, fork_server=server).wait(5.0)
    assert psutil.Process(server.pid).num_fds() == before
    assert wait_until(lambda: not psutil.Process(server.pid).children(), LIMIT_SECONDS)


def test_a_server_that_cannot_import_says_why() -> None:
    server = ForkServer("no_such_module:main", (), ENVIRONMENT)
    with pytest.raises(NotForked, match="no_such_module"):
        OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server)
    assert not server.running
    server.close()
    with pytest.raises(NotForked, match="has ended"):
        OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server)


def test_what_lies_in_the_owners_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('this is not the real one')")
    monkeypatch.chdir(tmp_path)
    server = ForkServer("forked:main", (), ENVIRONMENT)
    assert OwnedProcess(["leave", "0"], env=ENVIRONMENT, fork_server=server).wait(5.0) == 0
    server.close()


def test_where_one_cannot_be_forked_the_others_go_on(server: ForkServer) -> None:
    with OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server) as running:
        limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        used = psutil.Process(server.pid).num_fds()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 3, limits[1]))
        try:
            with pytest.raises(NotForked):
                OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server)
        finally:
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        assert running.running
        assert OwnedProcess(["leave", "0"], env=ENVIRONMENT, fork_server=server).wait(5.0) == 0


@pytest.mark.parametrize("why", others_slow(1, [KeyboardInterrupt, TimeoutError]))
def test_an_answer_that_was_not_read_is_not_taken_for_the_next_ones(
    monkeypatch: pytest.MonkeyPatch, why: type[BaseException]
) -> None:
    server = ForkServer("forked:main", (), ENVIRONMENT)
    running = OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server)
    before = psutil.Process().num_fds()

    def interrupted(*_: object) -> None:
        raise why

    arguments = ["1.0", "", "0", "family"]
    with monkeypatch.context() as patched, tempfile.TemporaryFile() as output:
        patched.setattr(socket, "recv_fds", interrupted)
        with pytest.raises((NotForked, KeyboardInterrupt)):
            server.keep(arguments, env=ENVIRONMENT, cwd=HERE, output=output, pass_fds=())
    assert psutil.Process().num_fds() == before
    assert not server.usable
    with pytest.raises(NotForked):
        OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server)
    # Nobody waits for what was begun: it ends; what runs goes on.
    keepers = psutil.Process(server.pid).children
    assert wait_until(lambda: len(keepers()) == 1, LIMIT_SECONDS), keepers()
    assert running.running
    running.stop()
    server.close()


@pytest.mark.parametrize("refusal", [PermissionError(1, "not permitted"), OSError(38, "missing")])
def test_a_sandbox_that_refuses_what_it_needs_is_seen(
    monkeypatch: pytest.MonkeyPatch, refusal: OSError
) -> None:
    def refused(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert not ForkServer.can_work()


def test_somebody_elses_processes_are_not_taken_for_its_own(server: ForkServer) -> None:
    """The number of a keeper that has ended may be given to another process."""
    with OwnedProcess(["family"], env=ENVIRONMENT, fork_server=server) as other:
        ended = OwnedProcess(["leave", "0"], env=ENVIRONMENT, fork_server=server)
        ended.wait(5.0)
        ended._keeper.pid = other.keeper_pid
        assert ended.tree() == []
        assert other.tree()
