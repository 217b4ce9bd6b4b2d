"""The supervisor: the one process that starts a lab's servers, and ends them.

A program of its own, run on a lab's folder as an `OwnedProcess`, whose keeper ends everything and
removes the folder in every case. The job is either "serve" (copy the prepared cluster, start both
servers, report, wait) or "prepare" (make the prepared cluster). The report goes through a pipe,
because passwords belong into no file, no command line and no output.
"""

import json
import os
import secrets
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from course_app.services import cluster
from course_app.services.binaries import Binaries
from course_app.services.copying import Copy, copy_files, write_back
from course_app.services.errors import (
    DamagedCache,
    NoRoomOnDisk,
    ServicesDidNotStart,
    ServicesError,
    is_full,
    is_no_room,
    no_room,
)
from course_app.services.postgres import USER, PostgresServer
from course_app.services.valkey import ValkeyServer
from course_app.system.signals import leave_when_told
from course_app.system.users import Account

JOB = "job.json"
# Before an error as JSON in the output: the folder is removed by the time the owner looks.
ERROR_MARK = "supervisor-error: "
# Told by the exit code as well: a full disk may have no room for the output either.
NO_ROOM_EXIT_CODE = 28


@dataclass(frozen=True)
class Job:
    """What the supervisor is to do; travels as JSON. ``report`` is the pipe's descriptor."""

    mode: str
    prepared: str
    postgres_binaries: str
    valkey_binary: str
    postgres: bool = True
    valkey: bool = True
    dataset: bool = True
    account: tuple[int, int] | None = None
    report: int = -1

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Report:
    """What the supervisor started; travels as JSON. Ports are 0 for a server not asked for."""

    data: str = ""
    postgres_port: int = 0
    postgres_password: str = ""
    postgres_version: str = ""
    template: int = 0
    valkey_port: int = 0
    valkey_password: str = ""
    valkey_version: str = ""


class Supervisor:
    """Holds the servers of one lab; `stop` ends them, also in the middle of a start."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job
        self.account = Account(*job.account) if job.account else None
        found = Binaries(Path(job.postgres_binaries), Path(job.valkey_binary))
        self.binaries = found.for_account(self.account, folder)
        self.servers: list[PostgresServer | ValkeyServer] = []
        self.copied: list[Path] = []

    def private_folder(self, name: str) -> Path:
        """A new subfolder; its random end lets the file system spread labs (see `folders`)."""
        path = self.folder / f"{name}-{secrets.token_hex(4)}"
        path.mkdir(mode=0o700)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)
        return path

    def prepare(self) -> None:
        """Make the prepared cluster."""
        work = self.private_folder("prepare")
        cluster.build(self.binaries, work, Path(self.job.prepared), self.account)

    def serve(self) -> Report:
        """Start what the job asks for; the data set is copied meanwhile."""
        facts: dict[str, Any] = {}
        with ThreadPoolExecutor(1) as background:
            if self.job.postgres:
                data = self.private_folder("postgres") / cluster.DATA
                manifest, later = self._copy_system(data)
                copied = background.submit(copy_files, later, self.account)
                facts |= self._start_postgres(data, manifest)
            if self.job.valkey:
                facts |= self._start_valkey()
            if self.job.postgres:
                copied.result()
                self.copied = [copy.target for copy in later]
        return Report(**facts)

    def _copy_system(self, data: Path) -> tuple[cluster.Manifest, list[Copy]]:
        prepared, dataset = Path(self.job.prepared), self.job.dataset
        return cluster.copy_system(prepared, data, dataset=dataset, account=self.account)

    def _start_postgres(self, data: Path, manifest: cluster.Manifest) -> dict[str, Any]:
        password = secrets.token_hex(16)
        try:
            server = PostgresServer(self.binaries, data, manifest.password, self.account)
            self.servers.append(server)
            server.sql("postgres", f"ALTER ROLE {USER} PASSWORD '{password}';")
        except ServicesDidNotStart as error:
            # The programs are the ones it was made with, so the files are the first suspect.
            raise DamagedCache(str(error)) from error
        return {
            "data": str(data),
            "postgres_port": server.port,
            "postgres_password": password,
            "postgres_version": manifest.postgres_version,
            "template": manifest.template,
        }

    def _start_valkey(self) -> dict[str, Any]:
        folder = self.private_folder("valkey")
        server = ValkeyServer(self.binaries, folder, secrets.token_hex(16), self.account)
        self.servers.append(server)
        return {
            "valkey_port": server.port,
            "valkey_password": server.password,
            "valkey_version": server.version,
        }

    def write_back(self) -> None:
        """Write the copied data set to the disk now, while nobody measures yet."""
        write_back(self.copied)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


def main(folder: str) -> None:
    """Do the job that lies in the folder; ends with the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_when_told(0)
    lab = Path(folder)
    try:
        _work(lab, Job(**json.loads((lab / JOB).read_text())))
    except Exception as error:
        # On a full disk servers fail in ways of their own, and find no room to say why.
        if is_full(lab) or is_no_room(error):
            _fail(no_room(lab))
        if isinstance(error, ServicesError):
            _fail(error)
        if isinstance(error, OSError):
            _fail(
                ServicesDidNotStart(
                    f"The lab's servers could not be set up: {error}. Set TMPDIR to a folder of "
                    "yours, on a disk from which programs may be run (not mounted `noexec`)."
                )
            )
        raise


def _work(folder: Path, job: Job) -> None:
    supervisor = Supervisor(folder, job)
    try:
        if job.mode == "prepare":
            supervisor.prepare()
            return
        with os.fdopen(job.report, "w") as pipe:
            json.dump(asdict(supervisor.serve()), pipe)
        threading.Thread(target=supervisor.write_back, daemon=True).start()
        while True:
            signal.pause()
    finally:
        supervisor.stop()


def _fail(error: ServicesError) -> NoReturn:
    with suppress(OSError):
        what = {"kind": type(error).__name__, "message": str(error)}
        print(ERROR_MARK + json.dumps(what), flush=True)
    os._exit(NO_ROOM_EXIT_CODE if isinstance(error, NoRoomOnDisk) else 1)
