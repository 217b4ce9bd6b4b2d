"""The tap: what passes is counted, and all of it."""

import socket
from collections.abc import Callable

import pytest
from talking import Conversation, connect, exchange, receive

from course_app.network import BadUpstream, Wire, WireCounts


def test_an_exchange_is_a_round_trip(wire: Wire) -> None:
    with connect(wire.url("echo")) as client:
        for _ in range(3):
            assert exchange(client, b"hello") == b"hello"
    assert wire.counts("echo") == WireCounts(1, 3, 15, 15)


def test_messages_sent_in_one_go_are_one_round_trip(
    serve: Callable[[Conversation], str],
) -> None:
    with Wire({"slow": serve(answer_after_ten)}) as wire, connect(wire.url("slow")) as client:
        for _ in range(10):
            client.sendall(b"x")
        assert receive(client, 1) == b"!"
        assert wire.counts("slow") == WireCounts(1, 1, 10, 1)


def answer_after_ten(connection: socket.socket) -> None:
    """Wait for ten bytes before each answer."""
    while len(receive(connection, 10)) == 10:
        connection.sendall(b"!")


def test_requests_ahead_of_a_delayed_answer_are_one_round_trip(echo_url: str) -> None:
    with Wire({"echo": echo_url}, delay_ms=100) as wire, connect(wire.url("echo")) as client:
        exchange(client)
        wire.reset()
        for _ in range(5):
            client.sendall(b"x")
        receive(client, 5)
        assert wire.counts("echo").round_trips == 1


def test_a_farewell_without_an_answer_is_counted_even_right_after_it_was_sent(
    wire: Wire,
) -> None:
    for _ in range(20):
        wire.reset()
        with connect(wire.url("echo")) as client:
            exchange(client, b"hello")
            client.sendall(b"bye")
        assert wire.counts("echo").round_trips == 2
        assert wire.counts("echo").bytes_up == 8


def test_closing_without_a_word_is_no_round_trip(wire: Wire) -> None:
    connect(wire.url("echo")).close()
    assert wire.counts("echo") == WireCounts(1, 0, 0, 0)


def test_a_reset_starts_from_zero_and_keeps_connections_open(wire: Wire) -> None:
    with connect(wire.url("echo")) as client:
        exchange(client)
        wire.reset()
        assert wire.counts("echo") == WireCounts(0, 0, 0, 0)
        exchange(client)
        assert wire.counts("echo") == WireCounts(0, 1, 5, 5)


def test_servers_are_counted_apart(serve: Callable[[Conversation], str], echo_url: str) -> None:
    with (
        Wire({"one": echo_url, "other": serve(answer_after_ten)}) as wire,
        connect(wire.url("one")) as client,
    ):
        exchange(client)
        assert wire.counts("one").round_trips == 1
        assert wire.counts("other") == WireCounts(0, 0, 0, 0)


def test_counts_are_answered_while_traffic_goes_on(serve: Callable[[Conversation], str]) -> None:
    with Wire({"flood": serve(flood)}) as wire, connect(wire.url("flood")) as client:
        receive(client, 1_000_000)
        assert wire.counts("flood").bytes_down >= 1_000_000


def flood(connection: socket.socket) -> None:
    """Talk without being asked."""
    while True:
        connection.sendall(bytes(65536))


def test_counts_per_request_read_as_a_sentence() -> None:
    counts = WireCounts(connections=10, round_trips=70, bytes_up=3120, bytes_down=18_400)
    assert str(counts.per(10)) == (
        "7.0 round trips, 1.0 connections, 312 B up, 1,840 B down per request"
    )
    assert str(counts) == "70 round trips, 10 connections, 3,120 B up, 18,400 B down"


def test_counts_are_not_divided_by_no_requests() -> None:
    with pytest.raises(ValueError, match="0 requests"):
        WireCounts(1, 1, 1, 1).per(0)


def test_an_unknown_name_is_refused_with_the_known_ones(wire: Wire) -> None:
    with pytest.raises(BadUpstream, match="leads to 'echo', not to 'postgres'"):
        wire.counts("postgres")
