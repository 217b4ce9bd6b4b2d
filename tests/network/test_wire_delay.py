"""The dial: round trips take longer by what was asked for, and nothing else changes."""

import socket
import statistics
import threading
import time
from collections.abc import Callable

import pytest
from representatives import others_slow
from talking import Conversation, connect, exchange, receive

from course_app.network import BadDelay, Wire


@pytest.mark.parametrize("delay_ms", others_slow(2, [1, 5, 2, 20]))
def test_the_added_delay_is_within_a_fifth_of_what_was_asked(wire: Wire, delay_ms: float) -> None:
    wire.delay_ms = delay_ms
    measured_ms = statistics.median(wire.measured_delay_ms() for _ in range(5))
    assert measured_ms / delay_ms == pytest.approx(1, abs=0.2)


def test_many_connections_keep_their_delay(echo_url: str) -> None:
    with Wire({"echo": echo_url}, delay_ms=20) as wire:
        clients = [connect(wire.url("echo")) for _ in range(64)]
        for client in clients:
            exchange(client)
        rounds_ms = [elapsed_ms(lambda: exchange_all(clients)) for _ in range(10)]
        for client in clients:
            client.close()
    # All 64 exchanges at the same time: one delay, not 64.
    assert 20 <= statistics.median(rounds_ms) < 2 * 20


def exchange_all(clients: list[socket.socket]) -> None:
    """One exchange on each connection, all at once."""
    for client in clients:
        client.sendall(b"hello")
    for client in clients:
        assert receive(client, 5) == b"hello"


def elapsed_ms(action: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def test_messages_sent_ahead_are_delayed_once(echo_url: str) -> None:
    with Wire({"echo": echo_url}, delay_ms=50) as wire, connect(wire.url("echo")) as client:
        exchange(client)
        one = elapsed_ms(lambda: exchange(client))
        twenty = elapsed_ms(lambda: exchange_ahead(client, 20))
    assert twenty < 3 * one


def exchange_ahead(client: socket.socket, messages: int) -> None:
    """Send all messages, then wait for all answers."""
    for _ in range(messages):
        client.sendall(b"x")
        time.sleep(0.001)
    receive(client, messages)


def test_connecting_costs_one_more_round_trip(echo_url: str) -> None:
    with Wire({"echo": echo_url}, delay_ms=100) as wire:
        began = time.perf_counter()
        with connect(wire.url("echo")) as client:
            exchange(client)
            first_ms = (time.perf_counter() - began) * 1000
            second_ms = elapsed_ms(lambda: exchange(client))
    assert 200 <= first_ms < 300
    assert 100 <= second_ms < 200


def test_a_delay_leaves_the_bandwidth_alone(serve: Callable[[Conversation], str]) -> None:
    size_bytes = 64 * 1024 * 1024
    url = serve(lambda connection: send_when_asked(connection, size_bytes))
    with Wire({"big": url}) as wire:
        times_ms = {}
        for delay_ms in (0, 20):
            wire.delay_ms = delay_ms
            with connect(wire.url("big")) as client:
                client.sendall(b"?")
                times_ms[delay_ms] = elapsed_ms(lambda c=client: receive(c, size_bytes))
    assert times_ms[20] - times_ms[0] < 2 * 20 + times_ms[0]


def send_when_asked(connection: socket.socket, size_bytes: int) -> None:
    """One large answer to each byte."""
    while connection.recv(1):
        connection.sendall(bytes(size_bytes))


def test_bytes_keep_their_order_when_the_delay_is_turned_down(wire: Wire) -> None:
    message = bytes(range(256)) * 40
    wire.delay_ms = 200
    with connect(wire.url("echo")) as client:
        half = threading.Timer(0.05, lambda: client.sendall(message[5000:]))
        client.sendall(message[:5000])
        wire.delay_ms = 0
        half.start()
        assert receive(client, len(message)) == message


def test_half_closed_connections_deliver_what_is_still_under_way(echo_url: str) -> None:
    with Wire({"echo": echo_url}, delay_ms=50) as wire, connect(wire.url("echo")) as client:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 100) == b"last words"


@pytest.mark.parametrize("delay_ms", [-1, float("nan"), float("inf"), 1e6])
def test_a_senseless_delay_is_refused(echo_url: str, delay_ms: float) -> None:
    with pytest.raises(BadDelay, match="ask for 0 to 1,000 ms"):
        Wire({"echo": echo_url}, delay_ms=delay_ms)
