"""The proxy process: starts when needed, listens here only, ends with its owner."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from talking import connect, exchange, receive

from course_app.network import BadUpstream, ProxyEnded, Wire
from course_app.network.owner import ProxyProcess
from course_app.system.waiting import wait_until

OWNER = """
import sys, time
from course_app.network import Wire
wire = Wire({"echo": sys.argv[1]})
print(wire.pid, wire.url("echo"), flush=True)
time.sleep(60)
"""


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_proxy_ends_when_its_owner_is_killed(echo_url: str, how: signal.Signals) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, echo_url], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    pid, url = owner.stdout.readline().decode().split()
    with connect(url) as client:
        exchange(client)
        owner.send_signal(how)
        owner.communicate()
        assert wait_until(lambda: not runs(int(pid)), 3)
        assert receive(client, 1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(url)


def test_the_proxy_ends_although_a_fork_of_its_owner_holds_the_pipe(echo_url: str) -> None:
    forking = OWNER.replace("print(", "child = os.fork() or time.sleep(60)\nprint(child, ")
    command = [sys.executable, "-c", "import os\n" + forking, echo_url]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    child, pid, _url = owner.stdout.readline().decode().split()
    try:
        owner.kill()
        owner.wait()
        assert wait_until(lambda: not runs(int(pid)), 3)
    finally:
        os.kill(int(child), signal.SIGKILL)
        owner.stdout.close()


def test_the_proxy_survives_an_interrupt_and_has_a_session_of_its_own(wire: Wire) -> None:
    assert os.getsid(wire.pid) == wire.pid
    os.kill(wire.pid, signal.SIGINT)
    with connect(wire.url("echo")) as client:
        assert exchange(client) == b"hello"


def test_nothing_starts_before_it_is_needed(echo_url: str) -> None:
    before = psutil.Process().children()
    wire = Wire({"echo": echo_url})
    assert psutil.Process().children() == before
    with wire:
        assert len(psutil.Process().children()) == len(before) + 1
    assert psutil.Process().children() == before


def test_the_proxy_listens_on_loopback_only(wire: Wire) -> None:
    connections = psutil.Process(wire.pid).net_connections("inet")
    listening = [c for c in connections if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}


def test_measuring_the_delay_leaves_no_listener_behind(wire: Wire) -> None:
    def files() -> int:
        return psutil.Process(wire.pid).num_fds()

    wire.measured_delay_ms(exchanges=3)
    before = files()
    for _ in range(5):
        wire.measured_delay_ms(exchanges=3)
    assert wait_until(lambda: files() <= before, 3)


def test_connections_leave_no_files_behind(wire: Wire) -> None:
    before = psutil.Process(wire.pid).num_fds()
    for _ in range(100):
        with connect(wire.url("echo")) as client:
            exchange(client)
    assert wait_until(lambda: psutil.Process(wire.pid).num_fds() == before, 3)


def test_a_closed_wire_says_so(echo_url: str) -> None:
    with Wire({"echo": echo_url}) as wire:
        wire.url("echo")
    wire.close()
    with pytest.raises(ProxyEnded, match="was closed; make a new one"):
        wire.counts("echo")


def test_a_killed_proxy_is_reported(wire: Wire) -> None:
    psutil.Process(wire.pid).kill()
    with pytest.raises(ProxyEnded, match="make a new one"):
        wire.counts("echo")


def test_a_server_that_is_not_there_closes_the_connection_and_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with Wire({"postgres": f"postgresql://u:p@127.0.0.1:{port}/d"}) as wire:
        for _ in range(3):
            with connect(wire.url("postgres").replace("u:p@", "").replace("/d", "")) as client:
                assert receive(client, 1) == b""
        failures = wire.counts("postgres").failures
    assert failures == (
        f"no connection to postgres at 127.0.0.1:{port} (Connection refused): "
        "see whether that server still runs",
    )


def test_files_beside_the_notebook_do_not_shadow_the_library(
    echo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selectors.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with Wire({"echo": echo_url}) as wire, connect(wire.url("echo")) as client:
        assert exchange(client) == b"hello"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///database",
        "postgresql://one:1,two:2/database",
        "postgresql://user@localhost/database?host=/tmp",
        "postgresql://user@localhost:port/database",
        "tcp://127.0.0.1",
        "unix:///tmp/valkey.sock",
    ],
)
def test_a_url_without_a_tcp_server_is_refused(url: str) -> None:
    with pytest.raises(BadUpstream, match="no single TCP host and port"):
        Wire({"server": url})


def test_a_url_keeps_everything_but_host_and_port(echo_url: str) -> None:
    port = echo_url.rpartition(":")[2]
    with Wire({"v": f"redis://us%40er:p%2Fw@localhost:{port}/3?protocol=3"}) as wire:
        changed = wire.url("v")
    head, _, tail = changed.partition("@")
    assert head == "redis://us%40er:p%2Fw"
    assert tail.startswith("127.0.0.1:")
    assert not tail.startswith(f"127.0.0.1:{port}/")
    assert tail.endswith("/3?protocol=3")


def test_what_was_never_listened_for_can_be_forgotten() -> None:
    proxy = ProxyProcess()
    try:
        proxy.ask("forget", name="nobody")
        proxy.ask("reset")
    finally:
        proxy.end()


def test_an_interrupt_while_it_starts_leaves_no_proxy(
    echo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def interrupted(_wire: Wire, proxy: ProxyProcess, _delay_ms: float) -> None:
        begun.append(proxy.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(Wire, "_turn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Wire({"echo": echo_url}).url("echo")
    assert wait_until(lambda: not runs(begun[0]), 3)
