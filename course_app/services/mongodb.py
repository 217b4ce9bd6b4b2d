"""A MongoDB for a lesson: the one that COURSE_MONGODB_URL names, or a stand-in.

The stand-in is ``nx-27017``, which speaks MongoDB's wire protocol and keeps documents in SQLite.
It is made of Python and far slower than MongoDB: compare clients with it, never databases.
"""

import os
import secrets
import shutil
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote_plus

from course_app.processes import OwnedProcess, require_posix
from course_app.services.errors import ServerUnreachable, ServicesDidNotStart, WheelMissing
from course_app.services.urls import without_secrets
from course_app.system.private_folders import folder_for_a_socket
from course_app.system.waiting import wait_until

MONGODB_VARIABLE = "COURSE_MONGODB_URL"
START_TIMEOUT_SECONDS = 30.0
ANSWER_TIMEOUT_MS = 5000

# It has no passwords. A socket in a folder that only this user can enter needs none, which a
# port on 127.0.0.1 would; its own command line offers ports only.
_STAND_IN = """
import asyncio, sys
from nx_27017.handler import NeoSQLiteHandler
from nx_27017.server import handle_client

async def main(path):
    handler = NeoSQLiteHandler(":memory:")
    server = await asyncio.start_unix_server(lambda r, w: handle_client(r, w, handler), path)
    async with server:
        await server.serve_forever()

asyncio.run(main(sys.argv[1]))
"""


@dataclass(frozen=True)
class MongoDB:
    """A running server that speaks MongoDB's protocol; a context manager that ends it.

    Attributes:
        url: what any MongoDB client connects to.
        database: name of a database of this lab's own, empty at first.
        stand_in: whether this is ``nx-27017`` and not MongoDB.
    """

    url: str = field(repr=False)
    database: str
    stand_in: bool
    _stop: Callable[[], None] = field(repr=False)

    def stop(self) -> None:
        """End the stand-in, or drop the database made on somebody else's; again: nothing."""
        self._stop()

    def __str__(self) -> str:
        if self.stand_in:
            return "nx-27017, a stand-in that speaks MongoDB's wire protocol (documents in SQLite)"
        return f"MongoDB at {without_secrets(self.url)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_mongodb() -> MongoDB:
    """Find the server that COURSE_MONGODB_URL names, or start the stand-in.

    The stand-in ends with this process in every case. On somebody else's server a database is
    made, and dropped by ``stop`` (not when this process is killed).

    Raises:
        ServerUnreachable: the variable names a server that does not answer.
        WheelMissing: the stand-in is not installed.
        ServicesDidNotStart: it does not come up.
        UnsupportedPlatform: on native Windows.
    """
    url = os.environ.get(MONGODB_VARIABLE, "")
    if url:
        return _external(url)
    require_posix()
    return _stand_in()


def _external(url: str) -> MongoDB:
    import pymongo

    database = f"course_{secrets.token_hex(6)}"
    try:
        client = _client(url)
    except (ValueError, pymongo.errors.PyMongoError) as error:  # not asked yet: it is misspelt
        raise ServerUnreachable(
            f"{MONGODB_VARIABLE} is not an address of a MongoDB. Write it as "
            "mongodb://user:password@host:27017, with signs such as / and @ in a password escaped "
            "(%2F, %40); without the variable the lesson uses a stand-in."
        ) from error
    try:
        client.admin.command("ping")
    except Exception as error:
        client.close()
        raise ServerUnreachable(
            f"{MONGODB_VARIABLE} ({without_secrets(url)}) names a MongoDB that does not answer: "
            f"{str(error).partition(',')[0]}. Start it or correct the variable; without the "
            "variable the lesson uses a stand-in."
        ) from error

    def drop() -> None:
        with suppress(Exception):
            client.drop_database(database)
        client.close()

    return MongoDB(url, database, False, drop)


def _client(url: str) -> Any:
    import pymongo

    return pymongo.MongoClient(url, serverSelectionTimeoutMS=ANSWER_TIMEOUT_MS)


def _stand_in() -> MongoDB:
    if find_spec("nx_27017") is None:
        raise WheelMissing(
            "The package nx-27017, a stand-in for MongoDB, is not installed. Install the course "
            f"again with `make lab`, or set {MONGODB_VARIABLE} to a MongoDB of yours."
        )
    folder = folder_for_a_socket("course-mongodb-")
    path = folder / "mongodb.sock"
    try:
        process = OwnedProcess(
            [sys.executable, "-I", "-c", _STAND_IN, str(path)], cwd=folder, remove=[folder]
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        _await(process, path)
    except BaseException:
        process.stop()
        raise
    return MongoDB(f"mongodb://{quote_plus(str(path))}", "course", True, process.stop)


def _await(process: OwnedProcess, path: Path) -> None:
    wait_until(lambda: _answers(path) or not process.running, START_TIMEOUT_SECONDS)
    if not _answers(path):
        raise ServicesDidNotStart(
            "The stand-in for MongoDB (nx-27017) did not start. Try again, or set "
            f"{MONGODB_VARIABLE}. The end of its output: {process.output_tail(3)}"
        )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
