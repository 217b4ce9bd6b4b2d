"""The claims of the guide, by id: 1 to 32, tips T1 to T9, pitfalls P1 to P5.

And how a file that says what is in the course is read: a mistake in it ends in one sentence that
names the file, the line and the entry.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from course_app.errors import CourseError

CLAIMS_FILE = "content/claims.toml"
_ROOT = Path(__file__).parent.parent

Text = Annotated[str, Field(min_length=1)]
Model = TypeVar("Model", bound=BaseModel)


class Entry(BaseModel):
    """A table of such a file: nothing in it is unknown, nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Claim(Entry):
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


class _ClaimsFile(Entry):
    claim: list[Claim]


def claims_of(root: Path) -> tuple[Claim, ...]:
    """The claims of the course in ``root``, in the guide's order.

    Raises:
        CourseError: their file has a mistake, or names an id twice.
    """
    claims = read_toml(root / CLAIMS_FILE, _ClaimsFile).claim
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise CourseError(f"{CLAIMS_FILE}: claim {claim.id} stands there twice; delete one.")
        seen.add(claim.id)
    return tuple(claims)


@cache
def claims() -> dict[str, Claim]:
    """All claims by id, in the guide's order.

    Raises:
        CourseError: their file has a mistake.
    """
    return {claim.id: claim for claim in claims_of(_ROOT)}


def claim_text(claim: str) -> str:
    """What the guide says, in our own words.

    Raises:
        CourseError: there is no claim of that id.
    """
    if claim not in claims():
        raise CourseError(f"There is no claim {claim!r}. Take one of those in {CLAIMS_FILE}.")
    return claims()[claim].says


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read a file of the course's own, with or without the mark that Windows puts first.

    Raises:
        CourseError: it is not there or has a mistake; the message says in which line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return model.model_validate(tomllib.loads(text))
    except OSError as error:
        raise CourseError(
            f"{path} cannot be read: {error.strerror or error}. Restore it from git."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
