"""Requests that overlap, with the time that each of them took and its whole answer.

Byte for byte they are those of the load generator, so that an app cannot tell them apart.
"""

import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

# By name: an app in the same process may put another clock in the module's place.
from time import perf_counter, sleep

from course_app.load import Response
from course_app.load.engine.answer import MOST_KEPT_BYTES
from course_app.load.limits import NoAnswer

_PART_BYTES = 65_536

Address = tuple[str, int]


@dataclass(frozen=True)
class Timed:
    """An answer and what its client waited, from when the request was sent."""

    response: Response
    first_byte_seconds: float
    seconds: float

    @property
    def ms(self) -> float:
        """The wait for the last byte in milliseconds."""
        return self.seconds * 1e3


def overlap(
    address: Address, payloads: Sequence[bytes], gap_seconds: float, timeout_seconds: float
) -> list[Timed]:
    """Send a request every ``gap_seconds``, each on a connection of its own.

    Raises:
        NoAnswer: one of them was not answered in time, or not in HTTP.
    """
    ready = threading.Barrier(len(payloads))

    def send(number: int) -> Timed:
        try:
            with socket.create_connection(address, timeout_seconds) as connection:
                ready.wait(timeout_seconds)
                sleep(number * gap_seconds)
                return _exchange(connection, payloads[number], timeout_seconds)
        except (OSError, HTTPException, threading.BrokenBarrierError) as error:
            ready.abort()
            line = payloads[number].partition(b"\r\n")[0].decode("latin-1")
            raise NoAnswer(f"{line}: no answer ({type(error).__name__}: {error})") from error

    with ThreadPoolExecutor(len(payloads)) as pool:
        return list(pool.map(send, range(len(payloads))))


def _whole_body(answer: HTTPResponse, deadline: float) -> bytes:
    """The body, if it has an end: one that always has another byte would never time out."""
    parts, size_bytes = [], 0
    while part := answer.read1(_PART_BYTES):
        parts.append(part)
        size_bytes += len(part)
        if perf_counter() > deadline or size_bytes > MOST_KEPT_BYTES:
            raise TimeoutError(f"no end of the body after {size_bytes} bytes")
    return b"".join(parts)


def _exchange(connection: socket.socket, payload: bytes, timeout_seconds: float) -> Timed:
    start = perf_counter()
    connection.sendall(payload)
    connection.recv(1, socket.MSG_PEEK)
    first_byte = perf_counter()
    with HTTPResponse(connection, method=payload.partition(b" ")[0].decode()) as answer:
        answer.begin()
        body = _whole_body(answer, start + timeout_seconds)
        end = perf_counter()
        headers = tuple((name.lower(), value) for name, value in answer.getheaders())
    response = Response(answer.status, headers, body, payload.decode("latin-1"))
    return Timed(response, first_byte - start, end - start)
