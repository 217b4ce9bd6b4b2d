"""Find the submissions in a folder: who handed in what, and what cannot be graded at all.

Learners are the entries of the folder: a folder or an archive each, of any nesting, or files as
Moodle, Canvas and GitHub Classroom name them. Links are never followed, and archives are unpacked
inside of a folder of ours only. What is wrong with one entry is said of that entry.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from course_app.authoring.contents import EXERCISES
from course_app.classroom.archives import KINDS, is_archive
from course_app.classroom.names import Entry, Learner, common_prefix, entry_of, readable
from course_app.classroom.walk import files_of, hidden
from course_app.errors import CourseError
from course_app.grading.reading import read

#: Worksheets and rosters, which the instructor keeps beside what was handed in.
_TABLE = ".csv"
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
        """Of the file's content: the same answer need not be graded twice.

        Of the problem, where no file can be read.
        """
        if self.path is not None:
            with suppress(OSError), self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(self.problem.encode()).hexdigest()


@dataclass
class _Found:
    """What the entries of one learner hold."""

    files: list[Path] = field(default_factory=list)
    elsewhere: list[Path] = field(default_factory=list)
    called: dict[Path, str] = field(default_factory=dict)
    uploads: dict[Path, int] = field(default_factory=dict)
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
        if entry.suffix.lower() == _TABLE and not entry.is_dir():
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


def _take(entry: Path, known: Entry, work: Path, found: _Found) -> None:
    """Add an entry's files, and what is wrong with it."""
    held = files_of(entry, work)
    if not (entry.is_dir() or entry.is_symlink() or known.typed or _may_be_answer(entry)):
        wanted = "neither a notebook, a .py file nor an archive that can be opened"
        held.problems.append(f"{readable(entry.name)} is {wanted}")
    found.problems += held.problems
    found.files += held.files
    found.elsewhere += held.elsewhere
    files = [*held.files, *held.elsewhere]
    found.late.update(files if known.late else ())
    found.uploads |= dict.fromkeys(files, known.upload)
    if known.file and files == [entry]:
        found.called[entry] = known.file


def _may_be_answer(entry: Path) -> bool:
    return is_archive(entry) or entry.suffix.lower() in KINDS


def _of(
    who: Learner, found: _Found, exercises: Mapping[str, str], only: str
) -> Iterator[Submission]:
    answers, unnamed = _by_exercise(found.files, found, exercises, only)
    # A file may be called anything if one exercise was set.
    if only and unnamed and not answers:
        answers[only] = unnamed
    # In folders of a learner's own lies other work, too, which may have numbers in front.
    named = [path for path in found.elsewhere if _slug_in(readable(path.name), exercises)]
    elsewhere, _ = _by_exercise(named, found, exercises, only)
    problem = "; ".join(found.problems)
    if not (answers or elsewhere):
        problem = problem or "No answer to an exercise was found."
        yield Submission(who.name, only or "unknown", None, problem, id=who.id)
    for slug in {**answers, **elsewhere}:
        best, *others = _best_first(answers.get(slug, []), elsewhere.get(slug, []), found.uploads)
        notes = [problem and f"{problem}.", "Handed in late." if best in found.late else ""]
        if others:
            told = f"{len(others) + 1} files were handed in; graded is {readable(best.name)}"
            notes.append(f"{told}, not {_names(others)}.")
        if best in found.elsewhere:
            notes.append(f"It lay in {readable(best.parent.name)}/, not in {EXERCISES}/.")
        note = " ".join(filter(None, notes))
        yield Submission(who.name, slug, best, note=note, id=who.id)


def _slug_in(name: str, exercises: Mapping[str, str]) -> str:
    return next((slug for slug in exercises.values() if slug in name), "")


def _by_exercise(
    paths: Iterable[Path], found: _Found, exercises: Mapping[str, str], only: str
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Files by the exercise that their names tell, and those whose names tell none.

    Of the latter, what has no number in front, rather.
    """
    answers: dict[str, list[Path]] = {}
    unnamed: list[Path] = []
    numbered: list[Path] = []
    for path in paths:
        name = found.called.get(path, readable(path.name))
        slug = _slug_in(name, exercises)
        number = re.match(r"\d\d(?!\d)", name)
        slug = slug or (exercises.get(number[0], "") if number else "")
        if slug and slug == (only or slug):
            answers.setdefault(slug, []).append(path)
        elif not any(each in name for each in exercises.values()):
            (numbered if number else unnamed).append(path)
    return answers, unnamed or numbered


def _names(paths: list[Path]) -> str:
    names = [readable(path.name) for path in paths[:_MOST_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _best_first(
    paths: list[Path], elsewhere: list[Path], uploads: Mapping[Path, int]
) -> list[Path]:
    """The newest that was attempted comes first; of the same time, the one that lies higher up.

    Canvas' number of a file goes before its time, which an archive may have lost. What lies
    elsewhere in a copy of the course counts where nothing in its place was attempted.
    """

    def rank(path: Path) -> tuple[int, float, int, str]:
        return uploads[path], path.stat().st_mtime, -len(path.parts), path.name

    if len(paths) + len(elsewhere) == 1:
        return paths or elsewhere
    ranked, further = (sorted(each, key=rank, reverse=True) for each in (paths, elsewhere))
    best = _attempted(ranked)
    if best is None and further:
        best, ranked = _attempted(further), [*ranked, *further]
    best = best or ranked[0]
    return [best, *(path for path in ranked if path != best)]


def _attempted(ranked: list[Path]) -> Path | None:
    return next((path for path in ranked[:_MOST_READ] if not read(path).blank), None)
