"""Sockets to listen on, on loopback addresses only, made so that answers leave at once."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from course_app.serving.errors import PortTaken
from course_app.system import sockets

LOOPBACK = "127.0.0.1"

#: uvicorn's own default; connections that wait to be accepted.
BACKLOG = 2048


def open_listener(port: int = 0) -> socket.socket:
    """A TCP socket that listens on 127.0.0.1; port 0 means any free one.

    The protocol is named (``IPPROTO_TCP``) although 0 would do for TCP: asyncio switches
    Nagle's algorithm off only for sockets whose protocol it can read, and accepted sockets
    inherit it. uvicorn writes headers and body separately, so that with Nagle and delayed
    acknowledgements each answer would wait 40 ms.

    Raises:
        PortTaken: somebody else listens on ``port``.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if port:
            # A port that was asked for must be usable again right after its last server.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortTaken(_taken(port, error)) from None
        raise
    return listener


@contextmanager
def reserved_port() -> Iterator[int]:
    """A free port that no one is given by chance until the block ends.

    The socket is bound but does not listen. Linux lets a server with ``SO_REUSEADDR``
    (all of ours set it) bind the same port beside it, while nobody who asks for *any* port
    gets this one. Other systems refuse the second bind, so there the port is let go first.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        port = int(holder.getsockname()[1])
        if not sockets.can_share_before_listening():
            holder.close()
        yield port


def _taken(port: int, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user; leave `port` out to get a free one."
    return (
        f"Port {port} is taken{_owner(port)}; stop that program, "
        "or leave `port` out to get a free one."
    )


def _owner(port: int) -> str:
    """Who listens there, as far as this user may know."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return ""
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and connection.laddr[1:] == (port,) and connection.pid:
            return f" by process {connection.pid}{_name(connection.pid)}"
    return ""


def _name(pid: int) -> str:
    try:
        return f" ({psutil.Process(pid).name()})"
    except psutil.Error:
        return ""
