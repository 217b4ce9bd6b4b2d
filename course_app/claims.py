"""The claims of the guide, by id: 1 to 32, tips T1 to T9, pitfalls P1 to P5."""

import tomllib
from functools import cache
from pathlib import Path

from course_app.errors import CourseError

CLAIMS_FILE = Path(__file__).parent.parent / "content" / "claims.toml"


@cache
def claims() -> dict[str, dict[str, str]]:
    """All claims by id, in the guide's order; each with ``says`` and ``lesson``."""
    entries = tomllib.loads(CLAIMS_FILE.read_text(encoding="utf-8"))["claim"]
    return {entry["id"]: entry for entry in entries}


def claim_text(claim: str) -> str:
    """What the guide says, in our own words.

    Raises:
        CourseError: there is no claim of that id.
    """
    if claim not in claims():
        raise CourseError(f"There is no claim {claim!r}. Take one of those in {CLAIMS_FILE.name}.")
    return claims()[claim]["says"]
