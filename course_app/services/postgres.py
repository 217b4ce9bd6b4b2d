"""Low-level PostgreSQL: initdb, a server on a data folder, SQL through psql. Loopback TCP only."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from course_app.services.binaries import Binaries
from course_app.services.errors import ServicesDidNotStart, no_room, says_no_room
from course_app.services.server import (
    PortTaken,
    await_ready,
    candidate_ports,
    clean_environment,
    failure,
    spawn,
)
from course_app.system import platforms
from course_app.system.users import Account

USER = "course"
LOG_NAME = "postgres.log"
# postmaster.pid (src/include/utils/pidfile.h): line 1 process, line 4 port, line 8 status
PID_LINE, PORT_LINE, STATUS_LINE = 0, 3, 7
# With fsync on and default settings otherwise: lessons measure what commits cost.
# PostgreSQL counts no flush of its log where it flushes as it writes, as it does on macOS.
LAB_SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "wal_sync_method": "fdatasync" if platforms.is_linux() else "fsync",
}
# Nothing here needs to survive a crash, because an unfinished preparation is thrown away.
PREPARING_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "min_wal_size": "32MB",
    "autovacuum": "off",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
}


class PostgresServer:
    """A running server; `port` and `password` reach it on 127.0.0.1 as the superuser `course`."""

    def __init__(
        self,
        binaries: Binaries,
        data: Path,
        password: str,
        account: Account | None,
        settings: Mapping[str, str] = LAB_SETTINGS,
    ) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            NoRoomOnDisk, ServicesDidNotStart: it does not come up.
        """
        self.password = password
        self._binaries, self._data, self._account = binaries, data, account
        self.log = data.parent / LOG_NAME
        for port in candidate_ports():
            self.log.write_bytes(b"")
            self.port, self.process = port, self._spawn(port, settings)
            try:
                await_ready(self.process, self.log, self._is_ready)
                return
            except PortTaken:
                continue
            except BaseException:
                self.stop()
                raise
        raise ServicesDidNotStart(
            "PostgreSQL found no free port on 127.0.0.1. End programs that hold many connections."
        )

    def _spawn(self, port: int, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        always = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
        }
        options = [f"--{name}={value}" for name, value in {**always, **settings}.items()]
        return spawn(
            [self._binaries.program("postgres"), "-D", str(self._data), *options],
            folder=self._data,
            log=self.log,
            account=self._account,
            end_signal=signal.SIGQUIT,
        )

    def _is_ready(self) -> bool:
        """Whether our own process, and no other server, says that it listens."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return (
                lines[PID_LINE] == str(self.process.pid) and lines[STATUS_LINE].strip() == "ready"
            )
        except (OSError, IndexError):
            return False

    def sql(self, database: str, script: str) -> str:
        """Run SQL (and psql) commands, stopping at the first error; what they print, unaligned.

        Raises:
            NoRoomOnDisk, ServicesDidNotStart: a command failed.
        """
        target = (
            f"host=127.0.0.1 port={self.port} user={USER} dbname={database} "
            "sslmode=disable gssencmode=disable"
        )
        done = subprocess.run(
            [self._binaries.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", target],
            input=script.encode(),
            capture_output=True,
            env=clean_environment() | {"PGPASSWORD": self.password},
            check=False,
        )
        if done.returncode != 0:
            if self.process.poll() is not None:
                raise failure(self.process, self.log)
            raise _sql_failed(self._data, done.stderr.decode(errors="replace").strip())
        return done.stdout.decode()

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT: at once, leaving the data folder to be thrown away; SIGINT: cleanly."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait()


def _sql_failed(data: Path, message: str) -> Exception:
    if says_no_room(message):
        return no_room(data.parent)
    return ServicesDidNotStart(
        f"PostgreSQL refused a statement of the lab's own: {message}. Try again; if that does not "
        "help, run `course doctor`."
    )


def initdb(binaries: Binaries, data: Path, password: str, account: Account | None) -> None:
    """Make a cluster with English messages, UTC, code-point order, and passwords required."""
    secret = data.parent / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if account is not None:
        os.chown(secret, account.uid, account.gid)
    log = data.parent / "initdb.log"
    process = spawn(
        [
            binaries.program("initdb"),
            f"--pgdata={data}",
            f"--username={USER}",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--set=timezone=UTC",
            "--set=log_timezone=UTC",
            "--no-sync",
            "--no-instructions",
        ],
        folder=data.parent,
        log=log,
        account=account,
        end_signal=signal.SIGKILL,
    )
    process.wait()
    secret.unlink()
    if process.returncode != 0:
        raise failure(process, log)
