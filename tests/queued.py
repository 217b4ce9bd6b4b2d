"""All cells of a notebook queued at once in a real kernel, as "Run All" does."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

#: What a kernel says after its last reply is on its way already.
LAST_WORDS_SECONDS = 2.0
#: What asyncio writes when a task was lost on the way.
LOST = re.compile(r"destroyed|Exception in callback|never (awaited|retrieved)|Exception ignored")


@dataclass
class Ran:
    """What a kernel answered. ``notebook`` has the outputs; ``statuses`` one for each reply."""

    notebook: NotebookNode
    statuses: list[str] = field(default_factory=list)

    @property
    def stderr(self) -> str:
        return "".join(o.text for o in self._outputs("stream") if o.name == "stderr")

    @property
    def surprises(self) -> str:
        """Standard error without what servers say of handlers that fail on purpose."""
        texts = (o.text for o in self._outputs("stream") if o.name == "stderr")
        return "".join(text for text in texts if not text.startswith("A handler failed"))

    @property
    def errors(self) -> list[str]:
        return [f"{o.ename}: {o.evalue}" for o in self._outputs("error")]

    def assert_every_cell_answered(self) -> None:
        """Every cell ran, none failed, and asyncio lost nothing."""
        cells = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        assert self.errors == [], self.errors
        assert self.statuses == ["ok"] * len(cells)
        assert not LOST.search(self.stderr), self.stderr

    def _outputs(self, kind: str) -> Iterator[Any]:
        for cell in self.notebook.cells:
            yield from (o for o in cell.get("outputs", ()) if o.output_type == kind)


def run_all(notebook: NotebookNode, place: Path, private: Path, seconds: float, **env: str) -> Ran:
    """Send every cell before the first one has answered, and collect what comes back.

    Args:
        place: where the kernel runs.
        private: a folder for its files, and for what exercises note about a learner.
        seconds: what has not been answered by then is not waited for.
        env: further variables for the kernel.
    """
    ran = Ran(nbformat.from_dict(notebook))
    with _kernel(place, private, env) as client:
        cells = {
            client.execute(cell.source): cell
            for cell in ran.notebook.cells
            if cell.cell_type == "code"
        }
        for cell in cells.values():
            cell.outputs = []
        _await_replies(client, set(cells), ran, time.monotonic() + seconds)
        for message in _messages(client):
            if (cell := cells.get(message["parent_header"].get("msg_id"))) is not None:
                cell.outputs += _as_outputs(message)
    return ran


@contextmanager
def _kernel(place: Path, private: Path, env: dict[str, str]) -> Iterator[BlockingKernelClient]:
    manager = KernelManager(kernel_name="python3", transport="ipc")
    manager.connection_file = str(private / "kernel.json")
    private_folders = {"XDG_STATE_HOME": str(private), "IPYTHONDIR": str(private)}
    with (private / "kernel.log").open("wb") as log:
        everything = {**os.environ, **private_folders, **env}
        manager.start_kernel(cwd=str(place), env=everything, stdout=log, stderr=log)
        client = manager.blocking_client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=60)
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel()
            manager.cleanup_resources()


def _await_replies(
    client: BlockingKernelClient, waiting: set[str], ran: Ran, deadline: float
) -> None:
    while waiting and time.monotonic() < deadline:
        try:
            reply = client.get_shell_msg(timeout=1)
        except Empty:
            continue
        if reply["parent_header"].get("msg_id") in waiting:
            waiting.remove(reply["parent_header"]["msg_id"])
            ran.statuses.append(reply["content"]["status"])


def _messages(client: BlockingKernelClient) -> Iterator[dict[str, Any]]:
    while True:
        try:
            yield client.get_iopub_msg(timeout=LAST_WORDS_SECONDS)
        except Empty:
            return


def _as_outputs(message: dict[str, Any]) -> list[NotebookNode]:
    kinds = ("stream", "error", "display_data", "execute_result")
    return [nbformat.v4.output_from_msg(message)] if message["msg_type"] in kinds else []
