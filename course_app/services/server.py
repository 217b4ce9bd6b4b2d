"""Starting one server program: its account, its log, its end with its parent, a port of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from course_app.services.binaries import stand_in
from course_app.services.errors import (
    NoRoomOnDisk,
    ServicesDidNotStart,
    is_full,
    no_room,
    says_no_room,
)
from course_app.system import users
from course_app.system.descent import die_with_parent
from course_app.system.users import Account

START_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.003
PORT_ATTEMPTS = 20
LOG_TAIL_LINES = 8


class PortTaken(Exception):
    """Somebody else bound the port between the choice and the start; another one will do."""


def clean_environment() -> dict[str, str]:
    """This process's environment without what would redirect PostgreSQL's programs (PG...)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def candidate_ports() -> Iterator[int]:
    """Ports that were free a moment ago. Whoever starts a server must be ready for PortTaken."""
    for _ in range(PORT_ATTEMPTS):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        yield port


def spawn(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    account: Account | None,
    end_signal: signal.Signals,
    configuration: str = "",
) -> subprocess.Popen[bytes]:
    """Start a server that gets `end_signal` when this process dies (Linux).

    `configuration` is its standard input: what is said there shows in no list of processes.
    """

    pass_for_another = _other_identity() if account is None else None

    def end_with_this_process() -> None:  # runs after the change of user, which would undo it
        if pass_for_another is not None:
            pass_for_another()
        die_with_parent(end_signal)

    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=clean_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=end_with_this_process,
        )
    assert process.stdin is not None
    process.stdin.write(configuration.encode())
    process.stdin.close()
    return process


def _other_identity() -> Callable[[], None] | None:
    """For a root that cannot become somebody else, and for a user without a name."""
    if os.geteuid() != 0 and users.name_of(os.geteuid()) is not None:
        return None
    account = stand_in()
    return users.passing_for(account) if account is not None else None


def await_ready(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    """Block until `ready()`.

    Raises:
        PortTaken: the server ended because it could not bind its port.
        NoRoomOnDisk: its disk is full.
        ServicesDidNotStart: it ended for another reason, or is not ready in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not ready():
        if process.poll() is not None:
            raise _reason(process, log)
        if is_full(log.parent):
            # It may wait for ever, or run and have no room to say so in its log.
            raise no_room(log.parent)
        if time.monotonic() > deadline:
            raise not_started(process, log, f"was not ready within {START_TIMEOUT_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _reason(process: subprocess.Popen[bytes], log: Path) -> Exception:
    text = log.read_text(errors="replace")
    if "Address already in use" in text:
        return PortTaken(text)
    return failure(process, log)


def failure(process: subprocess.Popen[bytes], log: Path) -> NoRoomOnDisk | ServicesDidNotStart:
    """The error for a server that ended: the disk is to blame, or see its log."""
    if says_no_room(log.read_text(errors="replace")):
        return no_room(log.parent)
    return not_started(process, log, f"ended with exit code {process.returncode}")


def not_started(process: subprocess.Popen[bytes], log: Path, what: str) -> ServicesDidNotStart:
    assert isinstance(process.args, Sequence)
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    return ServicesDidNotStart(
        f"{Path(str(process.args[0])).name} {what}. Run `course doctor`, which checks what it "
        "needs. The end of its log: " + " | ".join(lines)
    )
