"""A real ``course lab`` on a free port, for tests that talk to JupyterLab."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = "of-this-test"
LIMIT_SECONDS = 60


@contextmanager
def course_lab(folder: Path) -> Iterator[str]:
    """The address of ``course lab``, served from the course in ``folder``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "course"
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    process = subprocess.Popen(
        [program, "lab", "--no-browser", "--", *options, "--ServerApp.port_retries=0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield _when_ready(process, f"http://127.0.0.1:{port}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_SECONDS)


def _when_ready(process: "subprocess.Popen[bytes]", url: str) -> str:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            read(f"{url}/api/status")
        except OSError:
            time.sleep(0.2)
        else:
            return url
    process.kill()
    raise AssertionError(process.communicate()[0].decode())


def read(url: str) -> tuple[str, str]:
    """The address that a request ends at, and its answer."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.url, answer.read().decode()
