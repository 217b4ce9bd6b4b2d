"""Sockets to listen on, on loopback addresses only, made so that answers leave at once."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from course_app.system import sockets

LOOPBACK = "127.0.0.1"

#: uvicorn's own default; connections that wait to be accepted.
BACKLOG = 2048


def open_listener() -> socket.socket:
    """A TCP socket that listens on a free port of 127.0.0.1.

    The protocol is named (``IPPROTO_TCP``) although 0 would do for TCP: asyncio switches
    Nagle's algorithm off only for sockets whose protocol it can read, and accepted sockets
    inherit it. uvicorn writes headers and body separately, so that with Nagle and delayed
    acknowledgements each answer would wait 40 ms.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.bind((LOOPBACK, 0))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
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
