"""All cells of a notebook queued at once, as "Run All" and a quick Shift+Enter do."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from course_app.authoring.contents import TREES, find_course

ROOT = find_course(Path(__file__)).root
#: A lesson takes a minute on two quiet cores; this is only a limit against hanging.
LIMIT_SECONDS = 280
#: What a kernel says after its last reply is on its way already.
LAST_WORDS_SECONDS = 2.0

EVERY = [path.relative_to(ROOT) for tree in TREES for path in sorted((ROOT / tree).glob("*.ipynb"))]
#: One whose cells call `asyncio.run` between measurements, and one that a learner fills in.
REPRESENTATIVES = [
    Path("notebooks/06_response_models.ipynb"),
    Path("exercises/03_client_libraries.ipynb"),
]


@dataclass
class Ran:
    """What a kernel answered to cells that were queued at once."""

    sent: int
    statuses: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    stderr: str = ""


@contextmanager
def kernel(place: Path, folder: Path) -> Iterator[BlockingKernelClient]:
    manager = KernelManager(kernel_name="python3", transport="ipc")
    manager.connection_file = str(folder / "kernel.json")
    # What exercises note about a learner belongs to this test.
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "IPYTHONDIR": str(folder)}
    with (folder / "kernel.log").open("wb") as log:
        manager.start_kernel(cwd=str(place), env=environment, stdout=log, stderr=log)
        client = manager.blocking_client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=60)
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
            manager.cleanup_resources()


def run_all(client: BlockingKernelClient, cells: list[str], seconds: float) -> Ran:
    """Send every cell before the first one has answered, and collect what comes back."""
    waiting = {client.execute(cell) for cell in cells}
    ran = Ran(len(cells))
    deadline = time.monotonic() + seconds
    while waiting and time.monotonic() < deadline:
        try:
            reply = client.get_shell_msg(timeout=1)
        except Empty:
            continue
        if reply["parent_header"].get("msg_id") in waiting:
            waiting.remove(reply["parent_header"]["msg_id"])
            ran.statuses.append(reply["content"]["status"])
    _listen(client, ran)
    return ran


def _listen(client: BlockingKernelClient, ran: Ran) -> None:
    while True:
        try:
            message: dict[str, Any] = client.get_iopub_msg(timeout=LAST_WORDS_SECONDS)
        except Empty:
            return
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stderr":
            ran.stderr += content["text"]
        if message["msg_type"] == "error":
            ran.errors.append(f"{content['ename']}: {content['evalue']}")


def cells_of(path: Path) -> list[str]:
    cells = json.loads(path.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def every_cell_answers(path: Path, folder: Path) -> None:
    cells = cells_of(path)
    with kernel(path.parent, folder) as client:
        ran = run_all(client, cells, LIMIT_SECONDS - 20)
    assert ran.errors == []
    assert ran.statuses == ["ok"] * len(cells)
    assert ran.stderr == ""


@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("path", REPRESENTATIVES, ids=str)
def test_cells_that_are_queued_at_once_all_answer(path: Path, tmp_path: Path) -> None:
    every_cell_answers(ROOT / path, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("path", [path for path in EVERY if path not in REPRESENTATIVES], ids=str)
def test_every_notebook_of_the_course_runs_all_at_once(path: Path, tmp_path: Path) -> None:
    every_cell_answers(ROOT / path, tmp_path)
