"""Two texts out of one: an exercise with its answers (a solution) and without them.

Three markers, each a comment that fills a line of its own at the left margin::

    # blank:
    app = FastAPI()  # make it connect once, not per request
    # solution:
    app = FastAPI(lifespan=pool_while_running)
    # end solution

The exercise gets what stands between ``# blank:`` and ``# solution:``, the solution gets what
stands between ``# solution:`` and ``# end solution``; all else stands in both. Either part
may be empty, and either may hold whole cells: an explanation that only the solution shows
begins with its own ``# %% [markdown]``. Code that stands in the exercise's modules is imported
from there and pasted, see :mod:`course_app.authoring.pasting`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

from course_app.authoring.pasting import paste
from course_app.errors import CourseError

BLANK, SOLUTION, END = "# blank:", "# solution:", "# end solution"

_CELL = "# %%"

#: Which marker may follow in which part, and the part that it begins.
_NEXT = {"both": (BLANK, "blank"), "blank": (SOLUTION, "solution"), "solution": (END, "both")}

#: A line that is, or was meant to be, a marker.
_ALIKE = re.compile(r"\s*#+\s*(blank|solution|end[ _-]*solution)\s*:?\s*", re.IGNORECASE)

#: Shorter lines (`else:`, `return None`) say nothing about an answer.
_TELLING_CHARACTERS = 12


#: First or last line of a signature that is broken over lines: a name and a type, which the
#: exercise tells anyway.
_SIGNATURE_EDGE = re.compile(r"(async )?def \w+\(|\)( -> .*)?:")


@dataclass(frozen=True)
class Sides:
    """One source, taken apart.

    ``answers`` maps each line that gives an answer away to its line number: long enough to
    say something, and not also part of the exercise.
    """

    exercise: str
    solution: str
    answers: dict[str, int]


def split(text: str, name: str) -> Sides:
    """Take the text of an exercise's source apart; ``name`` is its file, for messages.

    Raises:
        CourseError: a marker is misspelt, indented, nested or has no partner.
    """
    lines: dict[str, list[tuple[int, str]]] = {"both": [], "blank": [], "solution": []}
    for part, number, line in _lines(text, name):
        lines[part].append((number, line))
    return Sides(
        exercise=_joined(lines["both"] + lines["blank"]),
        solution=_joined(lines["both"] + lines["solution"]),
        answers=_answers(lines),
    )


def answer_cells(text: str, name: str) -> list[str]:
    """The cells of the solution that hold the answer, whole; prose stands there as comments.

    Raises:
        CourseError: as :func:`split`.
    """
    cells: list[tuple[list[str], set[str]]] = [([], set())]
    for part, _, line in _lines(text, name):
        if part == "blank":
            continue
        if line.startswith(_CELL):
            cells.append(([], set()))
        elif line:
            cells[-1][1].add(part)
        cells[-1][0].append(line)
    return ["\n".join(lines[1:]).strip("\n") for lines, parts in cells if "solution" in parts]


def leaks(sides: Sides, exercise: str) -> list[str]:
    """The answers that occur in the text of an exercise, also as parts of its lines."""
    return [answer for answer in sides.answers if answer in exercise]


def _lines(text: str, name: str) -> Iterator[tuple[str, int, str]]:
    """Part, number and text of each line that is no marker."""
    part, opened = "both", 0
    for number, line in paste(text, name):
        if not _ALIKE.fullmatch(line):
            yield part, number, line
            continue
        part = _part_after(line, part, f"{name}:{number}")
        opened = number if part == "blank" else opened
    if part != "both":
        raise CourseError(f"{name}:{opened}: this block has no `{END}`. Add that line.")


def _part_after(line: str, part: str, where: str) -> str:
    marker = line.rstrip()
    if marker != marker.lstrip():
        raise CourseError(
            f"{where}: the marker `{marker.strip()}` is indented. "
            "Move it to the left margin and mark the whole definition."
        )
    if marker not in (BLANK, SOLUTION, END):
        raise CourseError(
            f"{where}: `{marker}` looks like a marker. "
            f"Write `{BLANK}`, `{SOLUTION}` or `{END}`, or change the words."
        )
    expected, following = _NEXT[part]
    if marker != expected:
        raise CourseError(
            f"{where}: `{marker}` stands where only `{expected}` can. Blocks are not nested, "
            f"and each is `{BLANK}`, `{SOLUTION}`, `{END}` in this order."
        )
    return following


def _joined(lines: list[tuple[int, str]]) -> str:
    # Lines that are pasted share a number, and stay as they are.
    return "".join(f"{line}\n" for _, line in sorted(lines, key=itemgetter(0)))


def _answers(lines: dict[str, list[tuple[int, str]]]) -> dict[str, int]:
    shown = {line.strip() for _, line in lines["both"] + lines["blank"]}
    found: dict[str, int] = {}
    for number, line in lines["solution"]:
        # Prose has a comment sign in the source that it has not in a notebook.
        answer = "" if line.startswith(_CELL) else line.strip().removeprefix("# ")
        telling = len(answer) >= _TELLING_CHARACTERS and not _SIGNATURE_EDGE.fullmatch(answer)
        if telling and line.strip() not in shown:
            found.setdefault(answer, number)
    return found
