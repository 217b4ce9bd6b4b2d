"""What the generator refuses: other machines, and loads without a sensible bound."""

from __future__ import annotations

import ipaddress
import math
import socket
from urllib.parse import urlsplit

from course_app.errors import CourseError

MOST_SECONDS = 60.0
MOST_REQUESTS = 1_000_000
MOST_CONCURRENCY = 1024
MOST_RATE = 20_000.0
MOST_BACKLOG = 1_000_000
MOST_PREPARED_REQUESTS = 65_536
MOST_TIMEOUT_SECONDS = 60.0
MOST_SECONDS_APART = 0.1


class LoadError(CourseError):
    """A load that cannot be sent, or was not answered at all."""


class BadWorkload(LoadError):
    """A request that cannot be built from its description."""


class NotLoopback(LoadError):
    """An address outside of this machine."""


class OutOfBounds(LoadError):
    """A load that is too long, too wide, too fast, or none at all."""


class NobodyListens(LoadError):
    """No server accepts connections at the address."""


class NoAnswer(LoadError):
    """A sample request that got no (readable) answer."""


class TimedOut(NoAnswer):
    """A sample request whose answer did not come, or did not end, in time."""


class GeneratorEnded(LoadError):
    """The generator process ended in the middle of its work; the next call starts a new one."""


def loopback_address(url: str) -> tuple[str, int]:
    """Host address and port of a server on this machine.

    Raises NotLoopback for any other machine, and OutOfBounds for an address that is not one.
    """
    parts = urlsplit(url if "//" in url else f"//{url}")
    if parts.scheme not in ("", "http") or parts.path not in ("", "/") or not parts.hostname:
        raise OutOfBounds(f"{url!r} is not a server's address: use http://127.0.0.1:PORT.")
    try:
        port = parts.port or 80
        host = _resolve(parts.hostname, port)
    except (OSError, ValueError) as error:
        raise OutOfBounds(f"{url!r} is not a server's address ({error}).") from error
    if not is_loopback(host):
        raise NotLoopback(
            f"The generator sends to this machine only, and {url!r} is not on it: a load test can "
            "take down a server that others need. Start the app here and use http://127.0.0.1:PORT."
        )
    return host, port


def _resolve(host: str, port: int) -> str:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = sorted((str(entry[4][0]) for entry in found), key=lambda address: ":" in address)
    outside = [address for address in addresses if not is_loopback(address)]
    return (outside or addresses)[0]


def is_loopback(address: str) -> bool:
    """Whether an IP address belongs to the loopback interface."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def within(name: str, value: float, least: float, most: float) -> None:
    """Raises OutOfBounds unless ``least <= value <= most``."""
    if not (isinstance(value, int | float) and math.isfinite(value) and least <= value <= most):
        raise OutOfBounds(
            f"{name}={value!r} is out of bounds: choose a number from {least:g} to {most:g}."
        )
