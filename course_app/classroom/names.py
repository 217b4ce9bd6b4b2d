"""Who handed something in: names and ids as Moodle, Canvas and GitHub Classroom write them."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: "Doe Jane_12345_assignsubmission_file_", a folder, or a file whose own name follows, whatever
#: stands in that; what was typed online is "..._onlinetext_".
_MOODLE = re.compile(
    r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?P<how>file|onlinetext)(_(?P<file>.*))?"
)
#: "doejane_LATE_12345_67890_04_connection_pooling-1.ipynb": who, when, user's id, the file's id.
_CANVAS = re.compile(
    r"(?P<name>[^_\W]+)(?P<late>_LATE)?_(?P<id>\d+)_(?P<upload>\d{2,})_(?P<file>.+)", re.I
)
#: Two learners may share half of their names; a whole class shares the assignment's.
_A_CLASS = 3


@dataclass(frozen=True, order=True)
class Learner:
    """Who it is. ``id`` is the number by which Moodle or Canvas know them; often there is none."""

    name: str
    id: str = ""


@dataclass(frozen=True)
class Entry:
    """What the name of one entry in the folder says.

    Attributes:
        file: what the learner called the file, where the entry's name says it.
        late: Canvas says that it came after the deadline.
        upload: Canvas' number of the file; one that comes later has a larger one. The "-1" behind
            the name of a file that is handed in again may as well be the learner's.
        typed: it holds what was typed into Moodle, and no file.
    """

    learner: Learner
    file: str = ""
    late: bool = False
    upload: int = 0
    typed: bool = False


def readable(name: str) -> str:
    """A file's name as text, also one that an unzip on another system has left in its own bytes."""
    content = os.fsencode(name)
    for encoding in ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def entry_of(name: str, *, is_folder: bool, prefix: str, exercises: Mapping[str, str]) -> Entry:
    """Take an entry's name apart.

    Args:
        prefix: what the names of all folders begin with, as `common_prefix` finds it.
        exercises: slugs by their number; a file may be called by learner and exercise.
    """
    name = readable(name)
    if found := _MOODLE.fullmatch(name):
        who, typed = Learner(found["name"].strip(), found["id"]), found["how"] == "onlinetext"
        return Entry(who, found["file"] or "", typed=typed)
    if is_folder:
        return Entry(Learner(name.removeprefix(prefix)))
    if found := _CANVAS.fullmatch(name):
        who = Learner(found["name"], found["id"])
        return Entry(who, found["file"], bool(found["late"]), int(found["upload"]))
    rest = stem = _stem(name)
    for slug in exercises.values():
        rest = rest.replace(slug, "")
    return Entry(Learner(rest.strip(" _-.") or stem), name)


def common_prefix(folders: Iterable[str]) -> str:
    """What GitHub Classroom puts before each user's name: the assignment's, with a hyphen."""
    names = [readable(name) for name in folders]
    if len(names) < _A_CLASS:
        return ""
    pairs = enumerate(zip(min(names), max(names), strict=False))
    end = next((place for place, (a, b) in pairs if a != b), 0)
    return names[0][: names[0].rfind("-", 0, end) + 1]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].removesuffix(".tar")
