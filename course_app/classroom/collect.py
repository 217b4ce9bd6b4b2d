"""Find the submissions in a folder: who handed in what, and what cannot be graded at all.

Learners are the entries of the folder: a folder or a zip archive each, of any nesting, or a single
file. Links are never followed, and archives are unpacked inside of a folder of ours only.
"""

import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from course_app.errors import CourseError

KINDS = (".ipynb", ".py")
#: An archive that unpacks to more than this, or to more files, is no honest submission.
MOST_BYTES, MOST_FILES = 300 * 2**20, 2000
_HIDDEN = re.compile(r"^[.~_]|__pycache__|__MACOSX")


@dataclass(frozen=True)
class Submission:
    """One learner's answer to one exercise.

    Attributes:
        learner: the name of the entry in the folder.
        exercise: the exercise's slug.
        path: the file; None if there is none that can be read, and then ``problem`` says why.
        note: what else the instructor should know.
    """

    learner: str
    exercise: str
    path: Path | None
    problem: str = ""
    note: str = ""

    @property
    def key(self) -> str:
        """A name for files: readable, safe, and different for different learners."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", self.learner).strip("-")[:40] or "learner"
        return f"{readable}-{hashlib.sha256(self.learner.encode()).hexdigest()[:8]}"

    @property
    def digest(self) -> str:
        """Of the file's content: the same answer need not be graded twice."""
        if self.path is None:
            return hashlib.sha256(self.problem.encode()).hexdigest()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def collect(
    folder: Path, work: Path, exercises: dict[str, str], only: str = ""
) -> list[Submission]:
    """All submissions, ordered by learner and exercise.

    Args:
        folder: one entry per learner.
        work: an empty folder of ours, for what comes out of archives.
        exercises: slugs by their number, such as ``{"04": "04_connection_pooling"}``.
        only: the slug of the one exercise that was set; files need not be named after it then.

    Raises:
        CourseError: the folder is missing, or holds nothing.
    """
    if not folder.is_dir():
        raise CourseError(f"{folder} is not a folder. Name one that holds an entry per learner.")
    entries = sorted(entry for entry in folder.iterdir() if not hidden(entry))
    found = [each for entry in entries for each in _of(entry, work, exercises, only)]
    if not found:
        raise CourseError(
            f"{folder} holds no submission. Put a folder, a zip archive, a notebook or a .py file "
            "into it for each learner; or name the exercise with `--exercise 04`."
        )
    return sorted(found, key=lambda each: (each.learner, each.exercise))


def _of(entry: Path, work: Path, exercises: dict[str, str], only: str) -> Iterator[Submission]:
    learner = _learner(entry, exercises)
    try:
        files = list(files_of(entry, work))
    except UNREADABLE as error:
        yield Submission(learner, only or "unknown", None, f"{entry.name} cannot be read: {error}")
        return
    answers: dict[str, list[Path]] = {}
    for path in files:
        slug = _exercise_of(path, exercises) or only
        if slug and slug == (only or slug):
            answers.setdefault(slug, []).append(path)
    if not answers:
        yield Submission(learner, only or "unknown", None, "No answer to an exercise was found.")
    for slug, paths in answers.items():
        best, *others = sorted(paths, key=lambda path: (len(path.parts), path.suffix, path.name))
        note = f"{len(paths)} files were handed in; graded is {best.name}." if others else ""
        yield Submission(learner, slug, best, note=note)


def hidden(path: Path) -> bool:
    """What editors and systems leave behind: nobody handed it in."""
    return bool(_HIDDEN.search(path.name))


def _exercise_of(path: Path, exercises: dict[str, str]) -> str:
    """The exercise that a file's name tells: by a slug anywhere in it, or a number in front."""
    for slug in exercises.values():
        if slug in path.stem:
            return slug
    number = re.match(r"\d\d(?!\d)", path.stem)
    return exercises.get(number[0], "") if number else ""


def _learner(entry: Path, exercises: dict[str, str]) -> str:
    """The entry's name; of a file without the exercise's name in it, if something is left."""
    if entry.is_dir():
        return entry.name
    name = entry.stem
    for slug in exercises.values():
        name = name.replace(slug, "")
    return name.strip(" _-.") or entry.stem


def files_of(entry: Path, work: Path, kinds: tuple[str, ...] = KINDS) -> Iterator[Path]:
    """An entry's files of these kinds; what an archive holds is unpacked into ``work``.

    Raises:
        OSError, RuntimeError: it cannot be opened, or is not to be (see ``UNREADABLE``).
    """
    if entry.is_symlink():
        raise _Refused("it is a link; hand in the file itself")
    if entry.is_dir():
        yield from _walk(entry, kinds)
    elif entry.suffix == ".zip":
        place = work / hashlib.sha256(entry.name.encode()).hexdigest()[:16]
        place.mkdir()
        _unpack(entry, place, kinds)
        yield from _walk(place, kinds)
    elif entry.suffix in kinds:
        yield entry


def _walk(folder: Path, kinds: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or hidden(path):
            continue
        if path.is_dir():
            yield from _walk(path, kinds)
        elif path.suffix in kinds:
            yield path


class _Refused(Exception):
    """An entry that is not opened."""


#: What opening a stranger's entry may end in.
UNREADABLE = (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, _Refused)


def _unpack(archive: Path, place: Path, kinds: tuple[str, ...]) -> None:
    """Unpack files of these kinds; nothing else, and nothing to anywhere else."""
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if not member.is_dir()]
        if len(members) > MOST_FILES or sum(member.file_size for member in members) > MOST_BYTES:
            raise _Refused("the archive is far too large")
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts:
                raise _Refused(f"the archive names a file outside of itself ({member.filename!r})")
            if name.suffix in kinds:
                target = place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(_Bounded(source, MOST_BYTES), copy)


class _Bounded:
    """Reads no more than an archive's index promised: the index may lie."""

    def __init__(self, source: object, most: int) -> None:
        self._source, self._left = source, most

    def read(self, size: int = -1) -> bytes:
        block: bytes = self._source.read(size)  # type: ignore[attr-defined]
        self._left -= len(block)
        if self._left < 0:
            raise _Refused("the archive is far too large")
        return block
