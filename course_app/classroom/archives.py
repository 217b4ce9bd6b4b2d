"""Unpack what learners hand in: notebooks and Python files, and nothing to anywhere else."""

import bz2
import gzip
import io
import lzma
import math
import os
import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

#: An archive that unpacks to more than this, or to more files, is no honest submission.
MOST_BYTES, MOST_FILES = 300 * 2**20, 2000
#: What a tar archive says of its members is held in memory; a few kB each are honest.
MOST_INDEX_BYTES = 16 * 2**20
KINDS = (".ipynb", ".py")
#: Not ".gz" alone, which is one compressed file, such as a table of numbers.
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
#: How a compressed file begins, whatever its name says.
_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}


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
    return path.name.lower().endswith(ARCHIVES)


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
    try:
        os.utime(target, (member.changed, member.changed))
    except (OSError, OverflowError, ValueError):  # no file can have that time
        os.utime(target, (0, 0))


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
    with tempfile.TemporaryFile(buffering=0) as plain:
        with _decompressed(archive) as source:
            shutil.copyfileobj(_Bounded(source, MOST_BYTES), plain)
        plain.seek(0)
        index = _Index(plain)
        with tarfile.open(fileobj=index, mode="r:") as opened:
            yield _tar_members(opened, index)


def _decompressed(archive: Path) -> AbstractContextManager[IO[bytes]]:
    with archive.open("rb") as file:
        begin = file.read(max(map(len, _COMPRESSED)))
    ways = (way for sign, way in _COMPRESSED.items() if begin.startswith(sign))
    decompressed: IO[bytes] = next(ways, open)(archive, "rb")
    return decompressed


def _tar_members(opened: tarfile.TarFile, index: "_Index") -> Iterator[_Member]:
    for each in opened:
        if each.isfile():
            opening = partial(_extracted, opened, each)
            yield _Member(each.name, each.size, each.mtime, opening)
    index.left = math.inf  # what members hold has a bound of its own


def _extracted(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = opened.extractfile(member)
    assert file is not None, "only regular files are asked for"
    return file


def _time(member: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*member.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0


class _Index(io.BufferedReader):
    """A tar archive of which no more than ``left`` bytes are read."""

    left: float = MOST_INDEX_BYTES

    def read(self, size: int | None = -1) -> bytes:
        self.left -= math.inf if size is None or size < 0 else size
        if self.left < 0:
            raise Refused("the archive is far too large")
        return super().read(size)


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
