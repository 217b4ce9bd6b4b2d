"""Unpack what learners hand in: notebooks and Python files, and nothing to anywhere else."""

import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

#: An archive that unpacks to more than this, or to more files, is no honest submission.
MOST_BYTES, MOST_FILES = 300 * 2**20, 2000
KINDS = (".ipynb", ".py")
ARCHIVES = (".zip", ".tar", ".tgz", ".gz")


class Refused(Exception):
    """An entry that is not opened."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    changed: float
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def is_archive(path: Path) -> bool:
    """Whether the name says that it is one."""
    return path.suffix.lower() in ARCHIVES


def unpack(archive: Path, place: Path, kinds: tuple[str, ...] = KINDS) -> None:
    """Unpack files of these kinds into ``place``, with their times.

    Raises:
        Refused: it is too large, or names files outside of itself.
        Exception: it is damaged, in as many ways as there are kinds of compression.
    """
    opening = _zip if archive.suffix.lower() == ".zip" else _tar
    with opening(archive) as members:
        found = []
        for member in members:
            found.append(member)
            if len(found) > MOST_FILES or sum(each.size for each in found) > MOST_BYTES:
                raise Refused("the archive is far too large")
        for member in found:
            _unpack(member, place, kinds)


def _unpack(member: _Member, place: Path, kinds: tuple[str, ...]) -> None:
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise Refused(f"the archive names a file outside of itself ({member.name!r})")
    if name.suffix.lower() not in kinds:
        return
    target = place / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, target.open("wb") as copy:
        shutil.copyfileobj(_Bounded(source, MOST_BYTES), copy)
    os.utime(target, (member.changed, member.changed))


@contextmanager
def _zip(archive: Path) -> Iterator[Iterator[_Member]]:
    with zipfile.ZipFile(archive) as opened:
        yield (
            _Member(each.filename, each.file_size, _time(each), lambda each=each: opened.open(each))  # type: ignore[misc]
            for each in opened.infolist()
            if not each.is_dir()
        )


@contextmanager
def _tar(archive: Path) -> Iterator[Iterator[_Member]]:
    with tarfile.open(archive) as opened:
        yield (
            _Member(each.name, each.size, each.mtime, lambda each=each: _extracted(opened, each))  # type: ignore[misc]
            for each in opened
            if each.isfile()
        )


def _extracted(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = opened.extractfile(member)
    assert file is not None, "only regular files are asked for"
    return file


def _time(member: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*member.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0


class _Bounded:
    """Reads no more than an archive's index promised: the index may lie."""

    def __init__(self, source: IO[bytes], most: int) -> None:
        self._source, self._left = source, most

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise Refused("the archive is far too large")
        return block
