"""Run a notebook in a kernel of its own and keep its outputs.

Never run two at once: they would measure each other.
"""

import asyncio
import copy
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from course_app.authoring.notebook import canonical
from course_app.errors import CourseError
from course_app.explore import HEADLESS
from course_app.system.private_folders import folder_for_a_socket, temporary_folder
from course_app.system.signals import ENDS

#: A whole lesson measures for a minute at most; a cell that takes two hangs.
CELL_LIMIT_SECONDS = 120.0

#: What is shown of a long traceback: its end names the mistake.
_LAST_LINES = 25

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WIDGET = "application/vnd.jupyter.widget-view+json"

Progress = Callable[[int, int], object]


def _ignore(_done: int, _total: int) -> None:
    """Nobody watches."""


class CellFailed(CourseError):
    """A cell raised, took too long or killed its kernel.

    Attributes:
        notebook: as far as it came, with the outputs until then.
        cell_number: counts all cells from 0, as ids do.
        reason: the error's name and message, in one line.
        source: the failed cell's text.
        details: the end of the traceback, or of what a dead kernel wrote; without colours.
    """

    def __init__(
        self, name: str, notebook: NotebookNode, cell_number: int, reason: str, details: str = ""
    ) -> None:
        super().__init__(
            f"{name}, cell {cell_number} failed: {reason}. If the machine may be the cause, "
            f"`course doctor` says what to do; if not, correct content/lessons/{name}.py."
        )
        cell = notebook.cells[cell_number]
        self.notebook = notebook
        self.cell_number = cell_number
        self.reason = reason
        self.source: str = cell.source
        self.details = details or _traceback(cell)


def execute(
    notebook: NotebookNode,
    *,
    name: str,
    root: Path,
    cell_seconds: float = CELL_LIMIT_SECONDS,
    progress: Progress = _ignore,
) -> NotebookNode:
    """A copy of the notebook with the outputs of a run in ``root``/notebooks.

    Args:
        name: the lesson's, for messages.
        cell_seconds: the longest that one cell may take.
        progress: called with the number of cells that are done, and of all.

    Raises:
        CellFailed: a cell failed.
        CourseError: no kernel started.
        KeyboardInterrupt: the run was interrupted; its kernel is gone.
    """
    executed = copy.deepcopy(notebook)
    folder = root / "notebooks"
    folder.mkdir(exist_ok=True)
    client = NotebookClient(
        executed,
        timeout=cell_seconds,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    done: list[int] = []
    folder_of_kernel = temporary_folder("course-kernel-", folder_for_a_socket)
    with folder_of_kernel as private, _signals_as_before():
        log = private / "kernel.log"
        try:
            asyncio.run(_run(client, private, log, done, progress))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            _tidy(executed)
            reason = _reason(error, cell_seconds)
            said = _written(log) if isinstance(error, DeadKernelError) else ""
            raise CellFailed(name, canonical(executed), len(done), reason, said) from None
        except (NoSuchKernel, RuntimeError) as error:
            raise CourseError(
                f"{name}: no kernel started ({error}). Set the environment up again with "
                f"`make -B setup`.\n{_written(log)}".rstrip()
            ) from None
    _tidy(executed)
    return canonical(executed)


@contextmanager
def _signals_as_before() -> Iterator[None]:
    """A loop that handled a signal leaves the system's default behind, which ends the process."""
    before = {number: signal.getsignal(number) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _run(
    client: NotebookClient, private: Path, log: Path, done: list[int], progress: Progress
) -> None:
    """Run cell after cell; ``done`` gets each one's number."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    interrupted = asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        task.cancel()

    def interruptible() -> None:
        for number in (signal.SIGINT, *ENDS):
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, interrupt)

    # nbclient answers signals by stopping the kernel only, so that a caller would go on with
    # its next notebook. Its handlers are set before its first await: these replace them.
    loop.call_soon(interruptible)
    # Sockets in a private folder: no other user of the machine can talk to the kernel.
    manager = client.create_kernel_manager()
    manager.transport, manager.connection_file = "ipc", str(private / "kernel.json")
    # The author's own IPython profile and history must not change what a lesson shows.
    environment = {**os.environ, "IPYTHONDIR": str(private), HEADLESS: "1"}
    cells = client.nb.cells
    try:
        with log.open("wb") as output:
            async with client.async_setup_kernel(env=environment, stdout=output, stderr=output):
                for index, cell in enumerate(cells):
                    progress(index, len(cells))
                    await client.async_execute_cell(cell, index, client.code_cells_executed + 1)
                    done.append(index)
    except DeadKernelError:
        # nbclient takes a cancelled cell for a dead kernel.
        if interrupted.is_set():
            raise asyncio.CancelledError from None
        raise
    progress(len(cells), len(cells))


def _tidy(notebook: NotebookNode) -> None:
    """Take out what only a living kernel can show."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if len(data) > 1:
                data.pop(_WIDGET, None)
        cell.metadata.pop("execution", None)


def _reason(error: Exception, cell_seconds: float) -> str:
    if isinstance(error, CellExecutionError):
        first_line = (_ANSI.sub("", error.evalue).splitlines() or [""])[0]
        return f"{error.ename}: {first_line}".rstrip(": ").rstrip(".")
    if isinstance(error, CellTimeoutError):
        return f"it took longer than {cell_seconds:g} s"
    return "its kernel ended (out of memory, or the code ended the process)"


def _traceback(cell: Any) -> str:
    errors = [output for output in cell.get("outputs", ()) if output.output_type == "error"]
    return _last_lines("\n".join(line for error in errors for line in error.traceback))


def _written(log: Path) -> str:
    """The end of what a kernel wrote, in whatever encoding."""
    return _last_lines(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else ""


def _last_lines(text: str) -> str:
    return "\n".join(_ANSI.sub("", text).splitlines()[-_LAST_LINES:])
