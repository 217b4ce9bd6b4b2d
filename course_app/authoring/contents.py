"""The table of contents (course.toml) and the guide's claims (content/claims.toml).

Mistakes in either file end in one sentence that names the file, the line and the entry.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from course_app.claims import CLAIMS_FILE, Entry, Text, claims_of, read_toml
from course_app.claims import Claim as Claim
from course_app.errors import CourseError

CONTENTS_FILE = "course.toml"

LESSONS, EXERCISES, SOLUTIONS = TREES = ("notebooks", "exercises", "solutions")

Percent = Annotated[int, Field(ge=0, le=100)]


class Lesson(Entry):
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


class _ContentsFile(Entry):
    title: Text
    evening: list[str] = Field(default_factory=list)
    late_percent: Percent = 10
    lesson: list[Lesson]


class Course(Entry):
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
    contents = read_toml(path, _ContentsFile)
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
    claims = claims_of(course.root)
    slugs = {lesson.slug for lesson in course.lessons}
    for claim in claims:
        if claim.lesson not in slugs:
            raise CourseError(
                f"{CLAIMS_FILE}: claim {claim.id} names lesson {claim.lesson!r}, "
                f"which {CONTENTS_FILE} does not list; correct one of the two."
            )
    return claims
