"""Small TCP servers that hold a conversation, and clients that take part in it."""

import socket
import threading
from collections.abc import Callable

Conversation = Callable[[socket.socket], None]


def echo(connection: socket.socket) -> None:
    """Answer everything with itself."""
    while data := connection.recv(65536):
        connection.sendall(data)


def accept(listener: socket.socket, conversation: Conversation) -> None:
    """A thread per connection."""
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=talk, args=(connection, conversation), daemon=True).start()


def talk(connection: socket.socket, conversation: Conversation) -> None:
    """One conversation, whoever ends it."""
    with connection:
        try:
            conversation(connection)
        except OSError:
            return


def connect(url: str) -> socket.socket:
    """A connection to the server of a URL."""
    host, _, port = url.rpartition("//")[2].rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, size_bytes: int) -> bytes:
    """So many bytes, or fewer if the other side closes."""
    data = bytearray()
    while len(data) < size_bytes and (piece := connection.recv(size_bytes - len(data))):
        data += piece
    return bytes(data)


def exchange(connection: socket.socket, message: bytes = b"hello") -> bytes:
    """Send a message, and wait for as many bytes."""
    connection.sendall(message)
    return receive(connection, len(message))
