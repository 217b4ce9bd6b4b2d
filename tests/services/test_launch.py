"""What a supervisor reports reaches its owner."""

import fcntl
import os

import pytest

from course_app.services.launch import _read_all
from course_app.system import open_files

#: The first descriptor that select() refuses.
BEYOND_SELECT = 1024


def test_a_report_is_read_from_a_pipe_of_any_number() -> None:
    if open_files.allow() <= BEYOND_SELECT:
        pytest.skip("so many open files are not allowed")
    reader, writer = os.pipe()
    os.write(writer, b"running")
    os.close(writer)
    with os.fdopen(fcntl.fcntl(reader, fcntl.F_DUPFD, BEYOND_SELECT), "rb") as pipe:
        os.close(reader)
        assert _read_all(pipe, 10.0) == b"running"
