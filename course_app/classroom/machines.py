"""Many machines' results side by side: how far they spread, and which verdicts flip.

An instructor collects results.json like answers: an entry a learner, of any nesting. What is no
result of this course becomes a remark, never an end.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from course_app.authoring.contents import Claim, Course, read_claims
from course_app.authoring.results import (
    RESULTS_FILE,
    ClaimResult,
    Noise,
    Results,
    read_results,
)
from course_app.classroom.walk import files_of, hidden
from course_app.errors import CourseError
from course_app.measure.claim import CANNOT_TELL
from course_app.measure.statistics import significant
from course_app.system.private_folders import temporary_folder

#: The results that come with the course.
DATA_FOLDER = "docs/machines"
#: Beside results.json, where `course run` was to keep that one's results and they do not fit.
NEW_RESULTS = "results-new.json"
_KINDS = (".json",)
#: Where `course run` leaves them in a copy of the course.
_TREE = "build"
#: Room beside the outermost interval, as a factor: a dot at the edge is seen whole.
_MARGIN = 1.1


@dataclass(frozen=True)
class Entry:
    """One machine's results, by the name under which they were handed in."""

    name: str
    results: Results

    def __str__(self) -> str:
        return f"{self.results.machine}{'' if self.results.pace == 'full' else ', quick pace'}"

    @property
    def days(self) -> str:
        """On which days its lessons ran."""
        days = sorted({str(lesson.finished) for lesson in self.results.lessons})
        return days[0] if len(days) < 2 else f"{days[0]} to {days[-1]}" if days else "-"

    @property
    def others(self) -> str:
        """How much of the machine others used, over its verdicts."""
        noises = [claim.noise for claim in self.results.claims if claim.noise]
        shares = [x.others_cores for x in noises if x.others_cores is not None]
        if not shares:
            return "noise not known"
        ends = dict.fromkeys(f"{share:.1f}" for share in (min(shares), max(shares)))
        return f"others used {' to '.join(ends)} cores"


@dataclass(frozen=True)
class Dot:
    """One machine's verdict on a claim; places are in per cent of the axis, None without one."""

    entry: Entry
    result: ClaimResult
    at: float | None
    low: float | None
    high: float | None

    @property
    def noise(self) -> str:
        """The lesson's noise until the verdict, if it was told."""
        noise: Noise | None = self.result.noise
        return noise.badge if noise else "not known"


@dataclass(frozen=True)
class Spread:
    """A claim on all machines that measured it."""

    claim: Claim
    dots: tuple[Dot, ...]
    axis: tuple[float, float] | None
    base: float | None

    @property
    def verdicts(self) -> dict[str, list[Entry]]:
        """Which machines say what, the commonest first."""
        said: dict[str, list[Entry]] = {}
        for dot in self.dots:
            said.setdefault(dot.result.verdict, []).append(dot.entry)
        return dict(sorted(said.items(), key=lambda item: -len(item[1])))

    @property
    def flips(self) -> bool:
        """Runs that could tell contradict each other."""
        return len(set(self.verdicts) - {CANNOT_TELL}) > 1

    @property
    def ends(self) -> tuple[str, str]:
        """What the axis' ends read."""
        low, high = self.axis or (1.0, 1.0)
        return f"{significant(low)}x", f"{significant(high)}x"

    @property
    def sentence(self) -> str:
        """What the runs say together, computed from what they said."""
        count = len(self.dots)
        if count == 1:
            return f"One run measured it: {self.dots[0].result.verdict}."
        if self.flips:
            parts = [f"{verdict} on {len(who)}" for verdict, who in self.verdicts.items()]
            return f"The verdict flips: {', '.join(parts)} of {count} runs."
        (first, who), *rest = self.verdicts.items()
        if not rest:
            return f"All {count} runs agree: {first}."
        verdict, told = (first, len(who)) if first != CANNOT_TELL else (rest[0][0], len(rest[0][1]))
        return f"{told} of {count} runs agree: {verdict}. The others cannot tell."


@dataclass(frozen=True)
class Machines:
    """All results of a folder, ordered by cores, processor and Python, and what was no result."""

    entries: tuple[Entry, ...]
    remarks: tuple[str, ...]

    def spreads(self, course: Course) -> list[Spread]:
        """Every claim that any machine measured, in the guide's order.

        Raises:
            CourseError: the claims' file has a mistake.
        """
        found = (_spread(claim, self.entries) for claim in read_claims(course))
        return [spread for spread in found if spread.dots]


def read_machines(folder: Path) -> Machines:
    """Read every ``.json`` of a folder's entries: folders, archives, single files.

    Raises:
        CourseError: there is no such folder.
    """
    if not folder.is_dir():
        raise CourseError(f"{folder} is not a folder. Name one that holds files of `course run`.")
    with temporary_folder("course-machines-") as work:
        handed_in = sorted(entry for entry in folder.iterdir() if not hidden(entry))
        found = [each for entry in handed_in for each in _read(entry, work)]
    entries = [each for each in found if isinstance(each, Entry)]
    entries.sort(key=lambda entry: (entry.results.machine.order, entry.name))
    return Machines(tuple(entries), tuple(each for each in found if isinstance(each, str)))


def _read(entry: Path, work: Path) -> Iterator[Entry | str]:
    """Its results, and a remark on each file that holds none."""
    name = entry.name if entry.is_dir() else entry.stem
    held = files_of(entry, work, _KINDS, _TREE)
    yield from (f"{name}: {problem}" for problem in held.problems)
    for path in held.files:
        try:
            results = read_results(path)
        except CourseError as error:
            yield f"{name}: {error}"
            continue
        if path.name == NEW_RESULTS and _are_of(path.with_name(RESULTS_FILE), results):
            yield f"{name}: {NEW_RESULTS} is of the same machine as {RESULTS_FILE}, which is shown."
        else:
            yield Entry(name, results)


def _are_of(path: Path, others: Results) -> bool:
    """Whether these results come from the others' machine, in the same pace."""
    with suppress(CourseError):
        results = read_results(path)
        return (results.machine, results.pace) == (others.machine, others.pace)
    return False


def _spread(claim: Claim, entries: Sequence[Entry]) -> Spread:
    told = [(e, r) for e in entries for r in e.results.claims if r.id == claim.id]
    ends = [end for _, r in told if r.estimate for end in (r.low, r.high, r.estimate) if end]
    if not ends:
        return Spread(claim, tuple(Dot(e, r, None, None, None) for e, r in told), None, None)
    low, high = min(*ends, 1.0) / _MARGIN, max(*ends, 1.0) * _MARGIN

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 * math.log(value / low, high / low), 2)

    dots = (Dot(e, r, place(r.estimate), place(r.low), place(r.high)) for e, r in told)
    return Spread(claim, tuple(dots), (low, high), place(1.0))


def write_machines(machines: Machines, course: Course, folder: Path) -> Path:
    """Write the page into ``folder``; returns it."""
    from course_app.classroom.report import environment

    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.html"
    template = environment().get_template("machines.html")
    page = template.render(machines=machines, claims=machines.spreads(course))
    index.write_text(page, encoding="utf-8")
    return index
