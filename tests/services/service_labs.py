"""Labs in processes of their own, to be ended in every way, and what they leave behind."""

import json
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

# By the course's promise, nothing is left of a lab after this time.
LIMIT_SECONDS = 3.0

# Starts services, tells where they are, and stays until its input ends.
LAB = """
import json, sys
import psutil
from course_app.services import start_services
services = start_services(dataset={dataset})
facts = {{"dsn": services.postgres_dsn, "url": services.valkey_url, "pids": [], "folder": ""}}
if services.supervisor_pid:
    supervisor = psutil.Process(services.supervisor_pid)
    family = [supervisor.parent().parent(), supervisor.parent(), supervisor]
    facts["pids"] = [member.pid for member in family + supervisor.children(recursive=True)]
    facts["folder"] = supervisor.cmdline()[-1]
print(json.dumps(facts), flush=True)
"""
STAY = "sys.stdin.read()\n"


@dataclass(frozen=True)
class Traces:
    """Where one lab's servers are; `pids` are keeper, guard, supervisor, servers."""

    dsn: str
    url: str
    pids: list[int]
    folder: str

    @property
    def ports(self) -> list[int]:
        return [
            int(address.rpartition(":")[2].partition("/")[0]) for address in (self.dsn, self.url)
        ]

    def living(self) -> list[int]:
        found = []
        for pid in self.pids:
            with suppress(psutil.NoSuchProcess):
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    found.append(pid)
        return found

    def listening(self) -> list[int]:
        found = []
        for port in self.ports:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                found.append(port)
        return found

    def gone(self) -> bool:
        """Whether no process and no listening port is left."""
        return not self.living() and not self.listening()


class LabProcess:
    """A lab owned by a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        self.traces = Traces(**json.loads(line))

    def end(self, number: int | None = None) -> None:
        """End the owner: at once by a signal, else by the end of its program."""
        if number is not None:
            self.process.send_signal(number)
        self.process.communicate()


def start_python(script: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """A script in a process of its own, with everything piped."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **options)
