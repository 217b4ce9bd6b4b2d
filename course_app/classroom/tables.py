"""The tables that other programs read: our own, and those that Moodle and Canvas import."""

import csv
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from course_app.classroom.gradebook import Gradebook
from course_app.classroom.ledger import Grade

#: A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Rows = Iterable[Sequence[object]]


def write_tables(grades: Sequence[Grade], book: Gradebook, folder: Path) -> None:
    """grades.csv, totals.csv, canvas.csv, and for each exercise Moodle's grading worksheet."""
    slugs = _slugs(grades, book)
    _write(folder / "grades.csv", _grade_rows(grades, book))
    _write(folder / "totals.csv", _total_rows(grades, book, slugs))
    if any(grade.id for grade in grades):
        _write(folder / "canvas.csv", _canvas_rows(grades, book, slugs))
        for slug in slugs:
            _write(folder / f"moodle_{slug}.csv", _moodle_rows(grades, book, slug))


def _slugs(grades: Sequence[Grade], book: Gradebook) -> list[str]:
    """Exercises with a result: where nobody has one, nothing was checked, or no exercise found."""
    return sorted({grade.exercise for grade in grades if _has_result(grade, book)})


def _has_result(grade: Grade, book: Gradebook) -> bool:
    """It was checked, or there are points that were given by hand."""
    return grade.card is not None or book.points(grade) is not None


def totals(grades: Sequence[Grade], book: Gradebook) -> tuple[float, float]:
    """A learner's points over all exercises, and what these are worth; open ones count nothing."""
    found = [(points, grade) for grade in grades if (points := book.points(grade)) is not None]
    return sum(points for points, _ in found), sum(book.possible(grade) for _, grade in found)


def by_learner(grades: Sequence[Grade]) -> Mapping[tuple[str, str], list[Grade]]:
    """Each learner's grades, by name and id."""
    found: dict[tuple[str, str], list[Grade]] = {}
    for grade in grades:
        found.setdefault((grade.learner, grade.id), []).append(grade)
    return found


def remark(grade: Grade, book: Gradebook) -> str:
    """What stands beside the points: what was changed by hand, or what was wrong.

    Learners read it in Moodle, so it does not say who else handed in the same code.
    """
    first = next(iter(grade.card.failures()), None) if grade.card else None
    return book.remark(grade) or grade.problem or (first.summary if first else "") or grade.note


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, and that stays in its row.

    Also where the sign is one of double width, or stands behind characters that nobody sees.
    """
    kept = (c for c in cell if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
    cell = " ".join("".join(kept).split())
    return f"'{cell}" if unicodedata.normalize("NFKC", cell[:1]).startswith(_FORMULA) else cell


def _grade_rows(grades: Sequence[Grade], book: Gradebook) -> Rows:
    yield "learner", "exercise", "status", "points", "possible", "remark", "id", "twins"
    for grade in grades:
        possible = f"{book.possible(grade):g}" if _has_result(grade, book) else ""
        points, told = _number(book.points(grade)), remark(grade, book)
        row = grade.learner, grade.exercise, grade.status, points, possible, told
        yield *row, grade.id, grade.twins


def _total_rows(grades: Sequence[Grade], book: Gradebook, slugs: Sequence[str]) -> Rows:
    yield "learner", "id", *slugs, "total", "possible"
    for (name, number), own in by_learner(grades).items():
        yield name, number, *_points(own, book, slugs), *map(_number, totals(own, book))


def _canvas_rows(grades: Sequence[Grade], book: Gradebook, slugs: Sequence[str]) -> Rows:
    """Canvas' gradebook: the second row says what each assignment is worth."""
    yield "Student", "ID", "SIS User ID", "SIS Login ID", "Section", *slugs
    worth = {grade.exercise: book.possible(grade) for grade in grades if _has_result(grade, book)}
    yield "    Points Possible", "", "", "", "", *(_number(worth.get(slug)) for slug in slugs)
    for (name, number), own in by_learner(grades).items():
        if number:
            yield name, number, "", "", "", *_points(own, book, slugs)


def _moodle_rows(grades: Sequence[Grade], book: Gradebook, slug: str) -> Rows:
    """Moodle's offline grading worksheet of one assignment."""
    yield "Identifier", "Full name", "Grade", "Maximum grade", "Feedback comments"
    for grade in grades:
        if grade.id and grade.exercise == slug and _has_result(grade, book):
            points, most = _number(book.points(grade)), _number(book.possible(grade))
            yield f"Participant {grade.id}", grade.learner, points, most, remark(grade, book)


def _points(own: Sequence[Grade], book: Gradebook, slugs: Sequence[str]) -> list[str]:
    known = {grade.exercise: _number(book.points(grade)) for grade in own}
    return [known.get(slug, "") for slug in slugs]


def _number(value: float | None) -> str:
    return "" if value is None else f"{round(value, 2):g}"


def _write(path: Path, rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([harmless(str(cell)) for cell in row] for row in rows)
