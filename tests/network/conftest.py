"""Fixtures: small servers for the proxy to stand in front of, and a wire to one."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from talking import Conversation, accept, echo

from course_app.network import Wire


@pytest.fixture
def serve() -> Iterator[Callable[[Conversation], str]]:
    """Start servers that hold the given conversation on each connection; gives their URLs."""
    listeners: list[socket.socket] = []

    def start(conversation: Conversation) -> str:
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, conversation), daemon=True).start()
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


@pytest.fixture
def echo_url(serve: Callable[[Conversation], str]) -> str:
    """The URL of a server that answers everything with itself."""
    return serve(echo)


@pytest.fixture
def wire(echo_url: str) -> Iterator[Wire]:
    """A wire to an echo server, without delay."""
    with Wire({"echo": echo_url}) as open_wire:
        yield open_wire
