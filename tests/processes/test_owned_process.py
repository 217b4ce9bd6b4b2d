"""A command ends with everything it started, however its owner, keeper or itself ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from living import is_alive

from course_app.processes import OwnedProcess, UnsupportedPlatform, require_posix
from course_app.system.waiting import wait_until

# The command, a daemon (own session, orphaned), and a daemon that ignores SIGTERM.
FAMILY = [
    "sh",
    "-c",
    "(setsid sleep 1001 &); (trap '' TERM; setsid sleep 1002) & exec sleep 1003",
]
# Each of these must be over in this time, by the course's promise.
LIMIT_SECONDS = 3.0

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's child subreaper")


def family() -> tuple[OwnedProcess, list[int]]:
    process = OwnedProcess(FAMILY)
    assert wait_until(lambda: len(process.tree()) >= 3, LIMIT_SECONDS)
    return process, [member.pid for member in process.tree()] + keepers(process)


def keepers(process: OwnedProcess) -> list[int]:
    guard = psutil.Process(process.pid).parent()
    assert guard is not None
    return [process.keeper_pid, guard.pid]


@linux_only
@pytest.mark.parametrize("way", ["stop", "terminate keeper", "kill keeper", "kill guard"])
def test_everything_ends(way: str) -> None:
    process, pids = family()
    keeper_pid, guard_pid = pids[-2:]
    ways: dict[str, Callable[[], None]] = {
        "stop": process.stop,
        "terminate keeper": lambda: os.kill(keeper_pid, signal.SIGTERM),
        "kill keeper": lambda: os.killpg(keeper_pid, signal.SIGKILL),
        "kill guard": lambda: os.killpg(guard_pid, signal.SIGKILL),
    }
    ways[way]()
    assert wait_until(lambda: not any(map(is_alive, pids)), LIMIT_SECONDS)
    assert wait_until(lambda: not process.running, LIMIT_SECONDS)
    assert process.tree() == []


@linux_only
def test_what_a_command_leaves_behind_ends_with_it() -> None:
    process, pids = family()
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_alive, pids)), LIMIT_SECONDS)
    assert process.wait(1.0) == -signal.SIGKILL


OWNER = """
import os, sys, time
from course_app.processes import OwnedProcess
process = OwnedProcess({family!r}, remove=[__import__("pathlib").Path(sys.argv[1])])
while len(tree := process.tree()) < 3:
    time.sleep(0.01)
print(process.keeper_pid, *[member.pid for member in tree], flush=True)
{last}
"""


@linux_only
@pytest.mark.parametrize(
    ("last", "number"),
    [
        ("", 0),
        ("raise SystemExit('failed')", 0),
        ("os._exit(1)", 0),
        ("time.sleep(1000)", signal.SIGKILL),
        # a forked copy of the owner holds the pipe to the keeper open
        ("os.fork() or time.sleep(60); time.sleep(6)", signal.SIGKILL),
    ],
)
def test_everything_ends_with_the_owner(last: str, number: int, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "file").touch()
    script = OWNER.format(family=FAMILY, last=last)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        if number:
            owner.send_signal(number)
        assert len(pids) == 4
        assert wait_until(lambda: not any(map(is_alive, pids)), LIMIT_SECONDS)
        assert wait_until(lambda: not folder.exists(), LIMIT_SECONDS)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_dropped_object_ends_its_command() -> None:
    process = OwnedProcess(["sleep", "1000"])
    pid = process.pid
    del process
    assert wait_until(lambda: not is_alive(pid), LIMIT_SECONDS)


def test_a_command_that_ignores_terminate_is_killed_after_its_grace() -> None:
    process = OwnedProcess(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"])
    assert wait_until(lambda: process.output_tail() == "ready", LIMIT_SECONDS)
    process.stop(grace_seconds=0.2)
    assert process.returncode == -signal.SIGKILL


def test_a_command_that_listens_ends_with_its_own_code() -> None:
    process = OwnedProcess(
        ["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"]
    )
    assert wait_until(lambda: process.output_tail() == "ready", LIMIT_SECONDS)
    process.stop()
    assert process.returncode == 7


def test_stop_may_be_called_again() -> None:
    process = OwnedProcess(["sleep", "1000"])
    process.stop()
    process.stop()
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", -9), ("true", 0)])
def test_exit_codes_are_the_commands(command: str, code: int) -> None:
    assert OwnedProcess(["sh", "-c", command]).wait(5.0) == code


def test_waiting_has_a_limit() -> None:
    with OwnedProcess(["sleep", "1000"]) as process, pytest.raises(TimeoutError, match="sleep"):
        process.wait(0.1)


def test_an_interrupt_does_not_reach_the_command() -> None:
    with OwnedProcess(["sleep", "1000"]) as process:
        assert os.getpgid(process.pid) != os.getpgid(0)
        os.kill(process.keeper_pid, signal.SIGINT)
        time.sleep(0.2)
        assert process.running


def test_the_command_starts_with_default_signals() -> None:
    program = "import signal; print([signal.getsignal(number) for number in (2, 13, 15)])"
    process = OwnedProcess([sys.executable, "-c", program])
    process.wait(10.0)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as plain:
        assert plain.stdout is not None
        assert process.output_tail() == plain.stdout.read().decode().strip()


def test_environment_folder_and_output_are_the_commands(tmp_path: Path) -> None:
    output = tmp_path / "out put.txt"
    process = OwnedProcess(
        ["sh", "-c", 'echo "$WORD in $(pwd)"; echo trouble >&2'],
        env={"WORD": "here", "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        output=output,
    )
    process.wait(5.0)
    assert output.read_text() == f"here in {tmp_path}\ntrouble\n"
    assert process.output_tail(1) == "trouble"


def test_arguments_arrive_as_they_are() -> None:
    words = ["", "two words", "$HOME", "'\"", "-x", "naïve"]
    process = OwnedProcess([sys.executable, "-c", "import sys; print(sys.argv[1:])", *words])
    process.wait(10.0)
    assert process.output_tail() == repr(words)


def test_the_tail_of_much_output_is_its_end() -> None:
    process = OwnedProcess(["sh", "-c", "seq 100000"])
    process.wait(10.0)
    assert process.output_tail(2) == "99999\n100000"


def test_a_program_that_cannot_run_is_named(tmp_path: Path) -> None:
    plain = tmp_path / "not a program"
    plain.touch()
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        OwnedProcess(["no-such-program"])
    with pytest.raises(PermissionError, match="not a program"):
        OwnedProcess([plain])


def test_folders_are_removed_after_every_end(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two words"]
    for folder in folders:
        (folder / "deep").mkdir(parents=True)
    OwnedProcess(["true"], remove=folders).wait(5.0)
    assert not any(folder.exists() for folder in folders)
    assert tmp_path.exists()


def test_native_windows_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedPlatform, match=r"WSL2.*make lab"):
        require_posix("win32")
    require_posix("linux")
    require_posix("darwin")
