"""A generator, and raw servers that end with their test."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from raw_server import Handler, RawServer, Serve

from course_app.load import Generator


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start raw servers; they end with the test."""
    with ExitStack() as stack:

        def start(handler: Handler) -> str:
            server = RawServer(handler)
            stack.callback(server.stop)
            return server.url

        yield start


@pytest.fixture(scope="module")
def generator() -> Iterator[Generator]:
    with Generator() as started:
        yield started
