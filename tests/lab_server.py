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
    """The address of ``course lab``, served from the course in ``folder``.

    What it prints stands in ``folder / "lab.txt"``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "course"
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    printed = folder / "lab.txt"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [program, "lab", "--no-browser", "--", *options, "--ServerApp.port_retries=0"],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _when_ready(process, f"http://127.0.0.1:{port}", printed)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_SECONDS)


def _when_ready(process: "subprocess.Popen[bytes]", url: str, printed: Path) -> str:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            read(f"{url}/api/status")
        except OSError:
            time.sleep(0.2)
        else:
            return url
    process.kill()
    raise AssertionError(printed.read_text())


def read(url: str, data: bytes | None = None) -> tuple[str, str]:
    """The address that a request ends at, and its answer; with data it is a POST."""
    request = urllib.request.Request(url, data, {"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.url, answer.read().decode()
