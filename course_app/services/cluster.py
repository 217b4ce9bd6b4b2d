"""The prepared cluster: a stopped PostgreSQL data folder with the data set, and its manifest.

Made once (`build`), then copied for each lab (`copy_system`), far faster than made again. It holds
three rows of pg_database that matter, and the files of one: `course`. A lab's `course` is a copy of
these files, or of the empty `template1`'s; those of the template `course_dataset` follow when the
first database is cloned from it. A database folder is complete in itself, and everything in it is
frozen, so that such copies are what CREATE DATABASE would have made.
"""

import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from course_app.dataset import FILL_SQL, SCHEMA_SQL
from course_app.services.binaries import Binaries
from course_app.services.copying import Copy, copy_files, make_folders, write_back
from course_app.services.errors import DamagedCache, is_no_room, no_room
from course_app.services.folders import write_private
from course_app.services.postgres import PREPARING_SETTINGS, PostgresServer, initdb
from course_app.system.users import Account

DATABASE = "course"
TEMPLATE = "course_dataset"
TEMPLATE1_FOLDER = "base/1"
MANIFEST = "manifest.json"
DATA = "data"
# Made at each start, or for one start only.
NOT_KEPT = frozenset({"postmaster.pid", "postmaster.opts", "base/pgsql_tmp"})
# Statistics of tables that an empty database does not have.
STATISTICS_FOLDER = "pg_stat"


@dataclass(frozen=True)
class Manifest:
    """What a prepared cluster holds.

    Attributes:
        password: of the superuser, until a lab sets its own.
        course, template: oids (folder names below base/) of the two databases.
        files: size in bytes by path, relative to the data folder.
    """

    postgres_version: str
    password: str
    course: int
    template: int
    folders: tuple[str, ...]
    files: dict[str, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


def read_manifest(prepared: Path) -> Manifest:
    """The manifest of a prepared cluster.

    Raises:
        DamagedCache: it is missing or unreadable.
    """
    try:
        return Manifest(**json.loads((prepared / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedCache(f"{prepared / MANIFEST} cannot be read: {error}") from error


def copy_system(
    prepared: Path, data: Path, *, dataset: bool, account: Account | None
) -> tuple[Manifest, list[Copy]]:
    """Make a lab's data folder, except for the files of its database `course`.

    PostgreSQL can start on it. The second value is what to copy before somebody connects to
    `course`: the data set, or with ``dataset=False`` the files of an empty database.

    Raises:
        DamagedCache: the prepared cluster is not complete.
        OSError: the disk is full, or cannot be written.
    """
    manifest = read_manifest(prepared)
    make_folders([data, *(data / folder for folder in manifest.folders)], account)
    source, course = prepared / DATA, f"base/{manifest.course}"
    origin = course if dataset else TEMPLATE1_FOLDER
    now, later = [], []
    for name, size in manifest.files.items():
        folder, file = os.path.split(name)
        if folder != course and (dataset or folder != STATISTICS_FOLDER):
            now.append(Copy(source / name, data / name, size))
        if folder == origin:
            later.append(Copy(source / name, data / course / file, size))
    copy_files(now, account)
    return manifest, later


def copy_template(prepared: Path, data: Path, template: int, account: Account | None) -> None:
    """Bring the files of the template database into a lab's (running) cluster.

    Raises:
        DamagedCache: the prepared cluster is not complete.
        OSError: the disk is full, or cannot be written.
    """
    manifest = read_manifest(prepared)
    final, new = data / "base" / str(template), data / "base" / "new-template"
    if final.exists():
        return
    shutil.rmtree(new, ignore_errors=True)
    make_folders([new], account)
    copy_files(
        [
            Copy(prepared / DATA / name, new / os.path.basename(name), size)
            for name, size in manifest.files.items()
            if os.path.dirname(name) == f"base/{manifest.course}"
        ],
        account,
    )
    new.rename(final)


def build(binaries: Binaries, work: Path, target: Path, account: Account | None) -> None:
    """Make a prepared cluster in the folder `work`, and put it at `target` in one step.

    Raises:
        NoRoomOnDisk, ServicesDidNotStart: PostgreSQL failed.
        OSError: the disk is full, or cannot be written.
    """
    data, password = work / DATA, secrets.token_hex(16)
    initdb(binaries, data, password, account)
    server = PostgresServer(binaries, data, password, account, PREPARING_SETTINGS)
    try:
        version, course, template = _fill(server)
        server.stop(signal.SIGINT)
    finally:
        server.stop()
    shutil.rmtree(data / "base" / str(template))
    folders, files = _contents(data)
    manifest = Manifest(version, password, course, template, folders, files)
    _publish(data, manifest, target)


def _fill(server: PostgresServer) -> tuple[str, int, int]:
    """Make the databases; the server's version and the oids of `course` and its template."""
    extension = "CREATE EXTENSION pg_stat_statements;\n"
    server.sql("template1", extension + "VACUUM (FREEZE);")
    server.sql("postgres", f"{extension} CREATE DATABASE {DATABASE};")
    fill = SCHEMA_SQL.read_text() + FILL_SQL.read_text()
    server.sql(DATABASE, f"BEGIN;\n{fill}\nCOMMIT;")
    # A session of its own: the temporary tables of the fill are gone by then.
    server.sql(DATABASE, "VACUUM (FREEZE, ANALYZE);")
    server.sql(
        "postgres",
        f"CREATE DATABASE {TEMPLATE} TEMPLATE {DATABASE} STRATEGY file_copy "
        "IS_TEMPLATE true ALLOW_CONNECTIONS false;",
    )
    oid = "(SELECT oid FROM pg_database WHERE datname = '{}')"
    facts = f"SELECT split_part(version(), ' ', 2), {oid.format(DATABASE)}, {oid.format(TEMPLATE)}"
    version, course, template = server.sql("postgres", facts).strip().split("|")
    return version, int(course), int(template)


def _contents(data: Path) -> tuple[tuple[str, ...], dict[str, int]]:
    folders: list[str] = []
    files: dict[str, int] = {}
    for path in _walk(data):
        name = path.relative_to(data).as_posix()
        if name in NOT_KEPT:
            continue
        if path.is_dir():
            folders.append(name)
        else:
            files[name] = path.stat().st_size
    return tuple(folders), files


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder, each folder before what is in it."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir():
            yield from _walk(path)


def _publish(data: Path, manifest: Manifest, target: Path) -> None:
    """Copy beside the target, write it all to the disk, and rename: complete or not there."""
    new = target.with_name(f"new-{target.name}-{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(mode=0o700)
        make_folders([new / DATA, *(new / DATA / folder for folder in manifest.folders)], None)
        copies = [Copy(data / name, new / DATA / name, n) for name, n in manifest.files.items()]
        copy_files(copies, None)
        write_private(new / MANIFEST, json.dumps(asdict(manifest)))
        write_back([copy.target for copy in copies] + [new / MANIFEST])
        new.rename(target)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if is_no_room(error):
            raise no_room(target.parent) from error
        raise
