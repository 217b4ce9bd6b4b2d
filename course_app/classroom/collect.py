"""Find the submissions in a folder: who handed in what, and what cannot be graded at all.

Learners are the entries of the folder: a folder or an archive each, of any nesting, or files as
Moodle, Canvas and GitHub Classroom name them. Links are never followed, and archives are unpacked
inside of a folder of ours only. What is wrong with one entry is said of that entry.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from course_app.authoring.contents import CONTENTS_FILE, EXERCISES, LESSONS, SOLUTIONS
from course_app.classroom.archives import KINDS, Refused, is_archive, unpack
from course_app.classroom.names import Entry, Learner, common_prefix, entry_of, readable
from course_app.errors import CourseError
from course_app.grading.reading import read

_HIDDEN = re.compile(r"^[.~]|^__pycache__$|^__MACOSX$")
#: A copy of the course holds one of these beside its exercises: archives are unpacked without its
#: course.toml.
_TREES = (LESSONS, SOLUTIONS, "content", "course_app")
#: What `course reset` puts aside, in the exercises' folder: begun anew, so not handed in.
_BACKUPS = "backups"
#: Reading a file takes a process, and up to seconds; whoever left more blank copies than that has
#: the newest of them graded.
_MOST_READ = 10
#: A note names so many of the files that were not graded.
_MOST_NAMED = 5


@dataclass(frozen=True)
class Submission:
    """One learner's answer to one exercise.

    Attributes:
        learner: the name.
        exercise: the exercise's slug.
        path: the file; None if there is none that can be read, and then ``problem`` says why.
        note: what else the instructor should know.
        id: the number by which Moodle or Canvas know the learner; empty if there is none.
    """

    learner: str
    exercise: str
    path: Path | None
    problem: str = ""
    note: str = ""
    id: str = ""

    @property
    def key(self) -> str:
        """A name for files: readable, safe, and different for different learners."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", self.learner).strip("-")[:40] or "learner"
        whole = f"{self.learner}\n{self.id}" if self.id else self.learner
        return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    @property
    def digest(self) -> str:
        """Of the file's content: the same answer need not be graded twice."""
        if self.path is None:
            return hashlib.sha256(self.problem.encode()).hexdigest()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Found:
    """What the entries of one learner hold."""

    files: list[Path] = field(default_factory=list)
    called: dict[Path, str] = field(default_factory=dict)
    attempts: dict[Path, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    late: set[Path] = field(default_factory=set)


def collect(
    folder: Path, work: Path, exercises: dict[str, str], only: str = ""
) -> list[Submission]:
    """All submissions, ordered by learner and exercise; one for each learner in each exercise.

    Args:
        folder: the entries of the class.
        work: an empty folder of ours, for what comes out of archives.
        exercises: slugs by their number, such as ``{"04": "04_connection_pooling"}``.
        only: the slug of the one exercise that was set; files need not be named after it then.

    Raises:
        CourseError: the folder is missing, or holds nothing.
    """
    if not folder.is_dir():
        raise CourseError(f"{folder} is not a folder. Name one that holds an entry per learner.")
    entries = sorted(entry for entry in folder.iterdir() if not hidden(entry))
    prefix = common_prefix(entry.name for entry in entries if entry.is_dir())
    learners: dict[Learner, _Found] = {}
    for entry in entries:
        if not (entry.is_dir() or entry.is_symlink() or _may_be_answer(entry)):
            continue
        known = entry_of(entry.name, is_folder=entry.is_dir(), prefix=prefix, exercises=exercises)
        _take(entry, known, work, learners.setdefault(known.learner, _Found()))
    found = [each for who in learners for each in _of(who, learners[who], exercises, only)]
    if not found:
        raise CourseError(
            f"{folder} holds no submission. Put a folder, a zip archive, a notebook or a .py file "
            "into it for each learner; or name the exercise with `--exercise 04`."
        )
    return sorted(found, key=lambda each: (each.learner, each.id, each.exercise))


def _may_be_answer(entry: Path) -> bool:
    return is_archive(entry) or entry.suffix.lower() in KINDS


def _take(entry: Path, known: Entry, work: Path, found: _Found) -> None:
    """Add an entry's files, or what is wrong with it."""
    try:
        files = list(files_of(entry, work))
    except Exception as error:  # damaged archives raise whatever their compression does
        told = str(error) or type(error).__name__
        found.problems.append(f"{readable(entry.name)} cannot be read: {told}")
        return
    found.files += files
    found.late.update(files if known.late else ())
    found.attempts |= dict.fromkeys(files, known.attempt)
    if known.file and files == [entry]:
        found.called[entry] = known.file


def _of(
    who: Learner, found: _Found, exercises: Mapping[str, str], only: str
) -> Iterator[Submission]:
    answers: dict[str, list[Path]] = {}
    unnamed: list[Path] = []
    numbered: list[Path] = []
    for path in found.files:
        name = found.called.get(path, readable(path.name))
        slug = next((slug for slug in exercises.values() if slug in name), "")
        number = re.match(r"\d\d(?!\d)", name)
        slug = slug or (exercises.get(number[0], "") if number else "")
        if slug and slug == (only or slug):
            answers.setdefault(slug, []).append(path)
        elif not any(each in name for each in exercises.values()):
            (numbered if number else unnamed).append(path)
    # A file may be called anything if one exercise was set; what has no number, rather.
    if only and not answers and (unnamed or numbered):
        answers[only] = unnamed or numbered
    problem = "; ".join(found.problems)
    if not answers:
        problem = problem or "No answer to an exercise was found."
        yield Submission(who.name, only or "unknown", None, problem, id=who.id)
    for slug, paths in answers.items():
        best, *others = _best_first(paths, found.attempts) if len(paths) > 1 else paths
        notes = [problem, "Handed in late." if best in found.late else ""]
        if others:
            told = f"{len(paths)} files were handed in; graded is {readable(best.name)}"
            notes.append(f"{told}, not {_names(others)}.")
        note = " ".join(filter(None, notes))
        yield Submission(who.name, slug, best, note=note, id=who.id)


def _names(paths: list[Path]) -> str:
    names = [readable(path.name) for path in paths[:_MOST_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _best_first(paths: list[Path], attempts: Mapping[Path, int]) -> list[Path]:
    """The newest that was attempted comes first; of the same time, the one that lies higher up.

    How often Canvas got a file goes before its time, which an archive may have lost.
    """

    def rank(path: Path) -> tuple[int, float, int, str]:
        return attempts[path], path.stat().st_mtime, -len(path.parts), path.name

    ranked = sorted(paths, key=rank, reverse=True)
    best = next((path for path in ranked[:_MOST_READ] if not read(path).blank), ranked[0])
    return [best, *(path for path in ranked if path != best)]


def hidden(path: Path) -> bool:
    """What editors and systems leave behind: nobody handed it in."""
    return bool(_HIDDEN.search(path.name))


def files_of(
    entry: Path, work: Path, kinds: tuple[str, ...] = KINDS, tree: str = EXERCISES
) -> Iterator[Path]:
    """An entry's files of these kinds; what an archive holds is unpacked into ``work``.

    Args:
        tree: the one folder that is looked at in a copy of the course.

    Raises:
        Refused: it is a link, or an archive that is not to be opened.
        Exception: it cannot be read; damaged archives raise whatever their compression does.
    """
    if entry.is_symlink():
        raise Refused("it is a link; hand in the file itself")
    if entry.is_dir():
        yield from _walk(entry, work, kinds, tree)
    elif is_archive(entry):
        place = work / hashlib.sha256(bytes(entry)).hexdigest()[:16]
        unpack(entry, place, kinds)
        yield from _walk(place, work, kinds, tree)
    elif entry.suffix.lower() in kinds and entry.is_file():
        yield entry


def _walk(folder: Path, work: Path, kinds: tuple[str, ...], tree: str) -> Iterator[Path]:
    """Files in a folder and below it, also in archives; of a copy of the course its one tree."""
    only = tree if _is_course(folder) else ""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink() or hidden(path):
            continue
        if path.is_dir():
            put_aside = (folder.name, path.name) == (EXERCISES, _BACKUPS)
            if not put_aside and only in ("", path.name):
                yield from _walk(path, work, kinds, tree)
        elif is_archive(path) and not path.is_relative_to(work):
            yield from files_of(path, work, kinds, tree)
        elif path.suffix.lower() in kinds and path.is_file():
            yield path


def _is_course(folder: Path) -> bool:
    trees = (folder / tree for tree in _TREES)
    beside = (folder / EXERCISES).is_dir() and any(tree.is_dir() for tree in trees)
    return beside or (folder / CONTENTS_FILE).is_file()
