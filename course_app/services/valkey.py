"""Low-level Valkey: a server with a password on loopback, nothing written to disk."""

import json
import signal
import socket
from pathlib import Path

from course_app.services.binaries import Binaries
from course_app.services.errors import ServicesDidNotStart
from course_app.services.server import PortTaken, await_ready, candidate_ports, not_started, spawn
from course_app.system.users import Account

# Memory is taken when a database is first used, so many cost nothing; grading a class uses many.
DATABASES = 10_000
LOG_NAME = "valkey.log"
READY_TEXT = "Ready to accept connections"
ANSWER_TIMEOUT_SECONDS = 10.0


class ValkeyServer:
    """A running server; `port` and `password` reach it on 127.0.0.1."""

    def __init__(
        self, binaries: Binaries, folder: Path, password: str, account: Account | None
    ) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            NoRoomOnDisk, ServicesDidNotStart: it does not come up.
        """
        self.password = password
        self.log = folder / LOG_NAME
        for port in candidate_ports():
            self.log.write_bytes(b"")
            self.port = port
            self.process = spawn(
                [str(binaries.valkey), "-"],
                folder=folder,
                log=self.log,
                account=account,
                end_signal=signal.SIGKILL,
                configuration=_configuration(port, password),
            )
            try:
                await_ready(self.process, self.log, self._is_ready)
                self.version = self._verified_version()
                return
            except PortTaken:
                continue
            except BaseException:
                self.stop()
                raise
        raise ServicesDidNotStart(
            "Valkey found no free port on 127.0.0.1. End programs that hold many connections."
        )

    def _is_ready(self) -> bool:
        return READY_TEXT in self.log.read_text(errors="replace")

    def _verified_version(self) -> str:
        """The version, from a server that is proved to be our own child."""
        facts = info(self.port, self.password, "server")
        if facts.get("process_id") != str(self.process.pid):
            raise not_started(self.process, self.log, "does not answer on its own port")
        return facts["valkey_version"]

    def stop(self) -> None:
        """End the server; it has nothing to save."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


def _configuration(port: int, password: str) -> str:
    lines = {
        "port": str(port),
        "bind": "127.0.0.1",
        "requirepass": json.dumps(password),
        "databases": str(DATABASES),
        "save": '""',
        "appendonly": "no",
        "daemonize": "no",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def info(port: int, password: str, section: str) -> dict[str, str]:
    """A section of INFO as name and value, over Valkey's inline commands."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_SECONDS) as connection:
        connection.sendall(f"AUTH {password}\r\nINFO {section}\r\nQUIT\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    pairs = (line.split(":", 1) for line in answer.decode(errors="replace").splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
