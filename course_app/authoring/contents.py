"""The table of contents (course.toml) and the guide's claims (content/claims.toml).

Mistakes in either file end in one sentence that names the file, the line and the entry.
"""

import tomllib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic_core import ErrorDetails

from course_app.errors import CourseError

CONTENTS_FILE = "course.toml"
CLAIMS_FILE = "content/claims.toml"

LESSONS, EXERCISES, SOLUTIONS = TREES = ("notebooks", "exercises", "solutions")

Text = Annotated[str, Field(min_length=1)]
Percent = Annotated[int, Field(ge=0, le=100)]
Model = TypeVar("Model", bound=BaseModel)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Lesson(_Entry):
    """One lesson. Its slug names its files in all trees; ``points`` is 0 without an exercise."""

    slug: Annotated[str, Field(pattern=r"^\d\d_[a-z0-9_]+$", max_length=50)]
    title: Text
    guide_section: str
    minutes: PositiveInt
    points: NonNegativeInt

    @property
    def number(self) -> str:
        """The two digits that order the lessons."""
        return self.slug[:2]


class Claim(_Entry):
    """A claim, tip (T) or pitfall (P) of the guide, and the lesson that tests it.

    Attributes:
        section: where the guide says it.
        how: in its text, or in code that it shows without a word about it.
    """

    id: Annotated[str, Field(pattern=r"^[TP]?[1-9]\d*$")]
    says: Text
    lesson: Text
    section: Text
    how: Literal["stated", "by example"]


class _ContentsFile(_Entry):
    title: Text
    evening: list[str] = []
    late_percent: Percent = 10
    lesson: list[Lesson]


class _ClaimsFile(_Entry):
    claim: list[Claim]


class Course(_Entry):
    """A course on disk: the folder that holds course.toml, and what that file says.

    ``evening`` is the short path, for whoever has one evening.
    """

    root: Path
    title: str
    late_percent: int
    lessons: tuple[Lesson, ...]
    evening: tuple[Lesson, ...] = ()

    def built(self, tree: str) -> list[Lesson]:
        """The lessons whose notebook stands in a tree."""
        return [lesson for lesson in self.lessons if self.is_built(tree, lesson)]

    def is_built(self, tree: str, lesson: Lesson) -> bool:
        """Whether a lesson's notebook stands in a tree."""
        return self.notebook(tree, lesson).is_file()

    def source(self, tree: str, lesson: Lesson) -> Path:
        """The hand-written text of a lesson; ``tree`` is ``lessons`` or ``exercises``."""
        return self.root / "content" / tree / f"{lesson.slug}.py"

    def notebook(self, tree: str, lesson: Lesson) -> Path:
        """The built file; ``tree`` is ``notebooks``, ``exercises`` or ``solutions``."""
        return self.root / tree / f"{lesson.slug}.ipynb"

    def select(self, names: Sequence[str]) -> list[Lesson]:
        """The lessons of these numbers or slugs in teaching order; all if none is named.

        Raises:
            CourseError: a name is no lesson's.
        """
        wanted = {name.zfill(2) for name in names}
        chosen = [x for x in self.lessons if not names or {x.number, x.slug} & wanted]
        unknown = wanted - {x.number for x in chosen} - {x.slug for x in chosen}
        if unknown:
            known = ", ".join(lesson.number for lesson in self.lessons)
            raise CourseError(
                f"There is no lesson {', '.join(sorted(unknown))}. "
                f"Use a number or a slug of {CONTENTS_FILE}: {known}."
            )
        return chosen


def find_course(start: Path | None = None) -> Course:
    """The course around ``start`` (the working directory), else the one of this package.

    Raises:
        CourseError: no course.toml is found, or it has a mistake.
    """
    here = (start or Path.cwd()).resolve()
    package_parent = Path(__file__).resolve().parents[2]
    for folder in (here, *here.parents, package_parent):
        if (folder / CONTENTS_FILE).is_file():
            return read_course(folder)
    raise CourseError(f"No {CONTENTS_FILE} in {here} or above: change into the course's folder.")


def read_course(root: Path) -> Course:
    """Read ``root``/course.toml.

    Raises:
        CourseError: the file has a mistake; the message says where.
    """
    path = root / CONTENTS_FILE
    contents = _read(path, _ContentsFile)
    numbers = [lesson.number for lesson in contents.lesson]
    for before, after in pairwise(numbers):
        if after <= before:
            raise CourseError(
                f"{CONTENTS_FILE}: lesson {after} comes after lesson {before}; "
                "give each lesson a number of its own and list them in order."
            )
    course = Course(
        root=root,
        title=contents.title,
        late_percent=contents.late_percent,
        lessons=tuple(contents.lesson),
    )
    evening = tuple(course.select(contents.evening)) if contents.evening else ()
    return course.model_copy(update={"evening": evening})


def read_claims(course: Course) -> tuple[Claim, ...]:
    """Read the claims, in the order in which a report shows them.

    Raises:
        CourseError: the file has a mistake, names an unknown lesson or an id twice.
    """
    claims = _read(course.root / CLAIMS_FILE, _ClaimsFile).claim
    slugs = {lesson.slug for lesson in course.lessons}
    seen: set[str] = set()
    for claim in claims:
        if claim.lesson not in slugs:
            raise CourseError(
                f"{CLAIMS_FILE}: claim {claim.id} names lesson {claim.lesson!r}, "
                f"which {CONTENTS_FILE} does not list; correct one of the two."
            )
        if claim.id in seen:
            raise CourseError(f"{CLAIMS_FILE}: claim {claim.id} stands there twice; delete one.")
        seen.add(claim.id)
    return tuple(claims)


def _read(path: Path, model: type[Model]) -> Model:
    try:
        text = path.read_text(encoding="utf-8-sig")  # with the mark that Windows puts first
        return model.model_validate(tomllib.loads(text))
    except OSError as error:
        raise CourseError(
            f"{path} cannot be read: {error.strerror or error}. Restore it from git."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{path} is not valid TOML: {error}. Correct that line.") from error
    except ValidationError as error:
        said = "\n".join(_located(path.name, text, detail) for detail in error.errors())
        raise CourseError(f"{said}\nCorrect that and run the command again.") from error


def _located(file: str, text: str, detail: ErrorDetails) -> str:
    """``course.toml, line 12, lesson 3 (02_async), minutes: ...`` for one mistake."""
    table, index, key = (*detail["loc"], None, None)[:3]
    if not isinstance(index, int):
        return f"{file}, {table}: {detail['msg']}"
    line = _line_of(text, f"[[{table}]]", index, key)
    entry = tomllib.loads(text)[str(table)][index]
    name: Any = entry.get("slug") or entry.get("id") or "no name"
    return f"{file}, line {line}, {table} {index + 1} ({name}), {key}: {detail['msg']}"


def _line_of(text: str, header: str, index: int, key: object) -> int:
    """The line of a key in the index-th table of an array, or of the table's header."""
    lines = [line.strip() for line in text.splitlines()]
    headers = [number for number, line in enumerate(lines) if line == header]
    start = headers[index]
    end = headers[index + 1] if index + 1 < len(headers) else len(lines)
    for number in range(start, end):
        if lines[number].partition("=")[0].strip() == key:
            return number + 1
    return start + 1
