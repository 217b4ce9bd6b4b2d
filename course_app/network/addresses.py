"""Which server a URL names, and the same URL by way of the proxy."""

import socket
from urllib.parse import parse_qs, urlsplit, urlunsplit

from course_app.network.errors import BadUpstream

LOOPBACK = "127.0.0.1"

#: The port that a URL means when it names none.
DEFAULT_PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "valkey": 6379}


def upstream_of(name: str, url: str) -> tuple[str, int]:
    """Numeric address and port of the server that a URL names; IPv4 where there is a choice.

    Raises:
        BadUpstream: the URL names no TCP host, several, one that nobody knows, or no port
            where none is usual.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        host, port = None, None
    if host is None or port is None or "," in host or "host" in parse_qs(parts.query):
        raise BadUpstream(
            f"The URL for {name!r} names no single TCP host and port, so nothing can stand in "
            "between; write it as scheme://user:password@127.0.0.1:port/database."
        )
    return _resolve(name, host, port), port


def by_way_of(port: int, url: str) -> str:
    """The URL with the proxy's host and port; user, password, path and query stay as they are."""
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}{LOOPBACK}:{port}"))


def _resolve(name: str, host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BadUpstream(
            f"The host {host!r} in the URL for {name!r} has no address "
            f"({error.strerror or error}); correct the URL."
        ) from None
    return min((str(entry[4][0]) for entry in found), key=lambda address: ":" in address)
