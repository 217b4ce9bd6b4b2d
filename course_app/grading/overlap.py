"""Requests that overlap, with the time that each of them took and its whole answer.

Byte for byte they are those of the load generator, so that an app cannot tell them apart.
"""

import socket
import threading
from bisect import bisect_left
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

# By name: an app in the same process may put another clock in the module's place.
from time import perf_counter, sleep

from course_app.load import Response
from course_app.load.codings import decode
from course_app.load.engine.answer import MOST_KEPT_BYTES
from course_app.load.limits import NoAnswer

_PART_BYTES = 65_536

Address = tuple[str, int]


@dataclass(frozen=True)
class Timed:
    """An answer and what its client waited, from when the request was sent.

    ``arrivals`` says when parts of the body came: seconds, and the bytes that were there then.
    """

    response: Response
    arrivals: tuple[tuple[float, int], ...]
    seconds: float

    @property
    def first_byte_seconds(self) -> float:
        """The wait for the first byte that a client can read: of the body, and decoded.

        A head can leave long before the text, and so can the head of a coding.
        """
        # Halved, not tried one by one: nobody knows in how many parts a body comes.
        number = bisect_left(self.arrivals, True, key=lambda each: self._can_be_read(each[1]))
        return self.arrivals[number][0] if number < len(self.arrivals) else self.seconds

    def _can_be_read(self, size_bytes: int) -> bool:
        begun = self.response.body[:size_bytes]
        coding = self.response.header("content-encoding") or "identity"
        if coding.strip().lower() == "identity":
            return bool(begun)
        try:
            return bool(decode(begun, coding, most_bytes=1, whole=False))
        except ValueError:
            return False

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


def _whole_body(
    answer: HTTPResponse, start: float, timeout_seconds: float
) -> tuple[bytes, tuple[tuple[float, int], ...]]:
    """The body and its arrivals, if it has an end: else a read would never time out."""
    parts, size_bytes = [], 0
    arrivals: list[tuple[float, int]] = []
    while part := answer.read1(_PART_BYTES):
        parts.append(part)
        size_bytes += len(part)
        arrivals.append((perf_counter() - start, size_bytes))
        if arrivals[-1][0] > timeout_seconds or size_bytes > MOST_KEPT_BYTES:
            raise TimeoutError(f"no end of the body after {size_bytes} bytes")
    return b"".join(parts), tuple(arrivals)


def _exchange(connection: socket.socket, payload: bytes, timeout_seconds: float) -> Timed:
    start = perf_counter()
    connection.sendall(payload)
    with HTTPResponse(connection, method=payload.partition(b" ")[0].decode()) as answer:
        answer.begin()
        body, arrivals = _whole_body(answer, start, timeout_seconds)
        end = perf_counter()
        headers = tuple((name.lower(), value) for name, value in answer.getheaders())
    response = Response(answer.status, headers, body, payload.decode("latin-1"))
    return Timed(response, arrivals, end - start)
