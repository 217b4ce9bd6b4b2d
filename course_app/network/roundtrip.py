"""How long a byte takes there and back, by way of the proxy and without it."""

import socket
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from course_app.network.addresses import LOOPBACK

#: The first exchanges pay for the connection and for cold caches.
_WARM_UP = 3

_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Connection:
    """Both ends of one connection, in one process: nobody else has to be woken to answer."""

    near: socket.socket
    far: socket.socket

    def round_trip_ms(self) -> float:
        """Send a byte there and back, and say how long that took."""
        began_ns = time.perf_counter_ns()
        self.near.send(b"?")
        self.far.recv(1)
        self.far.send(b"!")
        self.near.recv(1)
        return (time.perf_counter_ns() - began_ns) / 1e6


def added_round_trip_ms(by_way_of: Callable[[int], int], exchanges: int) -> float:
    """The median round trip through a proxy minus the median of a direct one, in turns.

    Args:
        by_way_of: told a port on 127.0.0.1, makes a proxy in front of it and returns its port.
        exchanges: round trips on each of the two connections.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOOPBACK, 0)))
        port = int(listener.getsockname()[1])
        routes = [_connect(stack, listener, p) for p in (port, by_way_of(port))]
        for _ in range(_WARM_UP):
            for route in routes:
                route.round_trip_ms()
        turns = [[route.round_trip_ms() for route in routes] for _ in range(exchanges)]
    direct_ms, proxied_ms = (statistics.median(column) for column in zip(*turns, strict=True))
    return float(proxied_ms - direct_ms)


def _connect(stack: ExitStack, listener: socket.socket, port: int) -> Connection:
    near = socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_SECONDS)
    stack.enter_context(near)
    far, _address = listener.accept()
    stack.enter_context(far)
    for end in (near, far):
        end.settimeout(_TIMEOUT_SECONDS)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(near, far)
