"""The owner's side of the supervisor: give it a job in a lab's folder, wait for what it reports."""

import json
import os
import select
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from course_app.processes import OwnedProcess
from course_app.services import supervisor
from course_app.services.errors import (
    KINDS,
    ServicesDidNotStart,
    ServicesError,
    is_no_room,
    no_room,
)
from course_app.services.folders import LabFolder, make_lab_folder, write_private
from course_app.services.supervisor import Job, Report
from course_app.system.users import Account


@dataclass(frozen=True)
class Running:
    """A supervisor that reported its servers."""

    folder: LabFolder
    process: OwnedProcess
    report: Report

    def stop(self) -> None:
        """End the servers and remove the folder."""
        self.process.stop()
        self.folder.release()


def start_job(job: Job, account: Account | None, timeout_seconds: float) -> Running:
    """Start a supervisor and wait until its servers run.

    Raises:
        ServicesError: in the kind that the supervisor reports.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe:
        try:
            folder, process = _launch(replace(job, report=writer), account, [writer])
        finally:
            os.close(writer)
        try:
            text = _read_all(pipe, timeout_seconds)
            if not text:
                process.wait()
                raise _reported(folder.path, process)
            return Running(folder, process, Report(**json.loads(text)))
        except BaseException:
            process.stop()
            folder.release()
            raise


def _read_all(pipe: IO[bytes], timeout_seconds: float) -> bytes:
    """All that is written into it until its other end closes; nothing if its owner failed."""
    poller = select.poll()  # not select, which refuses descriptors from 1024 on
    poller.register(pipe, select.POLLIN)
    if not poller.poll(1000 * timeout_seconds):
        raise ServicesDidNotStart(
            f"The lab's servers were not ready within {timeout_seconds:.0f} seconds. "
            "End other programs that use the disk or the processor, and try again."
        )
    return pipe.read()


def run_job(job: Job, account: Account | None, timeout_seconds: float) -> None:
    """Run a supervisor's job to its end.

    Raises:
        ServicesError: in the kind that the supervisor reports.
    """
    folder, process = _launch(job, account)
    try:
        code = process.wait(timeout_seconds)
    except TimeoutError as error:
        raise ServicesDidNotStart(
            f"The data set was not made within {timeout_seconds:.0f} seconds. "
            "End other programs that use the disk or the processor, and try again."
        ) from error
    finally:
        process.stop()
        folder.release()
    if code != 0:
        raise _reported(folder.path, process)


def _launch(
    job: Job, account: Account | None, pass_fds: Sequence[int] = ()
) -> tuple[LabFolder, OwnedProcess]:
    folder = make_lab_folder(account)
    try:
        write_private(folder.path / supervisor.JOB, job.to_json())
        command, output = program(supervisor.__name__, folder.path), folder.path / "output"
        process = OwnedProcess(command, output=output, remove=[folder.path], pass_fds=pass_fds)
        return folder, process
    except BaseException as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        folder.release()
        if is_no_room(error):
            raise no_room(folder.path) from error
        raise


def program(module: str, argument: Path) -> list[str]:
    """The command that runs `module.main(argument)`, wherever it is started from.

    Python's isolated mode keeps the current folder, PYTHONPATH and user packages out of it.
    """
    code = (
        f"import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main(sys.argv[2])"
    )
    root = Path(__file__).resolve().parents[2]
    return [sys.executable, "-I", "-c", code, str(root), str(argument)]


def _reported(folder: Path, process: OwnedProcess) -> ServicesError:
    for line in reversed(process.output_tail().splitlines()):
        if line.startswith(supervisor.ERROR_MARK):
            error = json.loads(line.removeprefix(supervisor.ERROR_MARK))
            return KINDS.get(error["kind"], ServicesError)(error["message"])
    if process.returncode == supervisor.NO_ROOM_EXIT_CODE:
        return no_room(folder)
    return ServicesDidNotStart(
        "The process that runs the lab's servers ended: "
        f"{process.output_tail(1) or 'without a word'}. Try again, or run `course doctor`."
    )
