"""A server that is taken away: cut off, or silent, and what is left of it afterwards."""

import socket
import time

import psutil
import pytest
from talking import connect, exchange, receive

from course_app.network import BadUpstream, Wire


def test_a_cut_ends_connections_and_lets_nobody_in(wire: Wire) -> None:
    with connect(wire.url("echo")) as before:
        assert exchange(before) == b"hello"
        wire.cut("echo")
        assert _ends(before)
    with connect(wire.url("echo")) as meanwhile:
        assert _ends(meanwhile)


def test_after_a_cut_the_same_address_leads_to_the_server_again(wire: Wire) -> None:
    url = wire.url("echo")
    wire.cut("echo")
    wire.mend("echo")
    assert wire.url("echo") == url
    with connect(url) as client:
        assert exchange(client) == b"hello"


def test_a_silent_server_keeps_connections_and_answers_nothing(wire: Wire) -> None:
    with connect(wire.url("echo")) as before:
        exchange(before)
        wire.silence("echo")
        with connect(wire.url("echo")) as new:
            for client in (before, new):
                client.settimeout(0.1)
                client.sendall(b"hello")
                with pytest.raises(TimeoutError):
                    client.recv(1)


def test_what_was_said_into_the_silence_is_lost_when_it_ends(wire: Wire) -> None:
    with connect(wire.url("echo")) as client:
        exchange(client)
        wire.silence("echo")
        client.sendall(b"hello")
        wire.mend("echo")
        assert _ends(client)


def test_other_servers_stay_when_one_goes_away(echo_url: str) -> None:
    with (
        Wire({"one": echo_url, "other": echo_url}) as wire,
        connect(wire.url("other")) as client,
    ):
        wire.cut("one")
        assert exchange(client) == b"hello"


def test_an_idle_silence_costs_the_proxy_no_cpu(wire: Wire) -> None:
    proxy = psutil.Process(wire.pid)
    with connect(wire.url("echo")) as client:
        exchange(client)
        wire.silence("echo")
        client.sendall(b"hello")
        before = sum(proxy.cpu_times()[:2])
        time.sleep(0.3)
        assert sum(proxy.cpu_times()[:2]) - before < 0.1


def test_only_a_known_server_can_be_taken_away(wire: Wire) -> None:
    for turn in (wire.cut, wire.silence, wire.mend):
        with pytest.raises(BadUpstream, match="'echo'"):
            turn("postgres")


def _ends(client: socket.socket) -> bool:
    try:
        return receive(client, 1) == b""
    except ConnectionResetError:
        return True
