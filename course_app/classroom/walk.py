"""Look through one entry of a folder: its files, also those in archives, and what is unreadable.

Links are never followed. What cannot be read costs nothing of what lies beside it.
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from course_app.authoring.contents import CONTENTS_FILE, EXERCISES, LESSONS, SOLUTIONS
from course_app.classroom.archives import KINDS, is_archive, unpack
from course_app.classroom.names import readable

_HIDDEN = re.compile(r"^[.~]|^__pycache__$|^__MACOSX$|^(desktop\.ini|thumbs\.db)$", re.IGNORECASE)
#: A copy of the course holds one of these beside its exercises: archives are unpacked without its
#: course.toml.
_TREES = (LESSONS, SOLUTIONS, "content", "course_app")
#: What the course comes with or makes: nobody keeps answers there.
_OURS = (*_TREES, "tests", "docs", "build", "benchmarks")
#: What `course reset` puts aside, in the exercises' folder: begun anew, so not handed in.
_BACKUPS = "backups"


@dataclass
class Held:
    """What an entry holds.

    Attributes:
        files: those of the wanted kinds; in a copy of the course, those of its one tree.
        elsewhere: in a copy of the course, those in folders that it did not come with.
        problems: what could not be read, in words.
    """

    files: list[Path] = field(default_factory=list)
    elsewhere: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def hidden(path: Path) -> bool:
    """What editors and systems leave behind: nobody handed it in."""
    return bool(_HIDDEN.search(path.name))


def files_of(
    entry: Path, work: Path, kinds: tuple[str, ...] = KINDS, tree: str = EXERCISES
) -> Held:
    """An entry's files of these kinds; what an archive holds is unpacked into ``work``.

    Args:
        tree: the folder where they belong in a copy of the course.
    """
    walk = _Walk(work, kinds, tree)
    if entry.is_symlink():
        walk.cannot_read(entry, "it is a link; hand in the file itself")
    else:
        walk.visit(entry, walk.held.files)
    return walk.held


class _Walk:
    def __init__(self, work: Path, kinds: tuple[str, ...], tree: str) -> None:
        self.held = Held()
        self._work, self._kinds, self._tree = work, kinds, tree

    def visit(self, path: Path, files: list[Path]) -> None:
        """Add what it holds to the files, or what is wrong with it to the problems."""
        try:
            self._visit(path, files)
        except Exception as error:  # damaged archives raise whatever their compression does
            self.cannot_read(path, str(error) or type(error).__name__)

    def cannot_read(self, path: Path, why: str) -> None:
        self.held.problems.append(f"{readable(path.name)} cannot be read: {why}")

    def _visit(self, path: Path, files: list[Path]) -> None:
        if path.is_dir():
            self._folder(path, files)
        elif is_archive(path):
            place = self._work / hashlib.sha256(bytes(path)).hexdigest()[:16]
            unpack(path, place, self._kinds)
            if place.is_dir():  # it held a file of these kinds
                self._folder(place, files)
        elif path.suffix.lower() in self._kinds and path.is_file():
            files.append(path)

    def _folder(self, folder: Path, files: list[Path]) -> None:
        is_course = _is_course(folder)
        for path in sorted(folder.iterdir()):
            put_aside = (folder.name, path.name) == (EXERCISES, _BACKUPS)
            if path.is_symlink() or hidden(path) or put_aside:
                continue
            if not is_course or path.name == self._tree or not path.is_dir():
                self.visit(path, files)
            elif path.name not in _OURS:
                self.visit(path, self.held.elsewhere)


def _is_course(folder: Path) -> bool:
    trees = (folder / tree for tree in _TREES)
    beside = (folder / EXERCISES).is_dir() and any(tree.is_dir() for tree in trees)
    return beside or (folder / CONTENTS_FILE).is_file()
