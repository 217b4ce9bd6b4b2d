"""What clients read of the directory's answers, field by field."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from course_app.grading import Candidate, Exam, Failure
from course_app.load import Response, get
from course_app.measure.answers import excerpt, same_answer

#: What everybody may know of a member.
PUBLIC = ("id", "name", "bio", "created_at")
PAGE = ("members", "left_out")

_WANTED = f"a member with {', '.join(PUBLIC)}, or a page of them"
#: RFC 3339, as browsers and other clients can read it.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

Fields = Mapping[str, Any]


class NoDirectory(Failure):
    """An answer is neither a member nor a page of members."""

    hint = 'A page is {"members": [...], "left_out": 0}; keep the names of the slow version.'


class OtherTimes(Failure):
    """`created_at` is not written as before: it is no time that a client can read."""

    hint = (
        "JSON has no times, so they are text of a fixed form, such as 2020-01-01T00:13:00Z. "
        "`str()` of a datetime writes another one. Who does it right?"
    )


def read(answer: Response) -> tuple[Fields, list[Fields]]:
    """The body, and the members in it: those of the page, or the one that it is.

    Raises:
        NoDirectory: it is something else.
    """
    try:
        body = json.loads(answer.body)
        members = body.get("members", [body])
        missing = [field for field in PUBLIC for member in members if field not in member]
        if missing or answer.status != 200:
            raise NoDirectory(f"{missing[0]} is missing" if missing else excerpt(answer), _WANTED)
    except (ValueError, TypeError, AttributeError) as error:
        raise NoDirectory(excerpt(answer), _WANTED) from error
    return body, members


def public(member: Fields) -> dict[str, Any]:
    """What everybody may know, with the time as a time: both ways to write UTC are right.

    Raises:
        OtherTimes: it is none.
    """
    text = member["created_at"]
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise OtherTimes(f"created_at: {text!r}", "2020-01-01T00:13:00Z")
    return {
        **{field: member[field] for field in PUBLIC},
        "created_at": datetime.fromisoformat(text),
    }


def same_public(mine: Response, theirs: Response) -> bool:
    """The same members with the same public fields; what else is in them does not count here."""
    if mine.status != 200 or theirs.status != 200:
        return same_answer(mine, theirs)
    (my_body, my_members), (their_body, their_members) = read(mine), read(theirs)
    same_page = my_body.get("left_out") == their_body.get("left_out")
    return same_page and list(map(public, my_members)) == list(map(public, their_members))


def page(exam: Exam, candidate: Candidate, after: int, limit: int) -> Response:
    """One page of the directory."""
    (answer,) = exam.ask(candidate, get(f"/members?after={after}&limit={limit}"))
    return answer


def documented(document: Any, start: str) -> set[str] | None:
    """The fields of a member that OpenAPI promises; None if it promises nothing.

    Args:
        start: the beginning of the path, up to what a parameter may be called.
    """
    try:
        path = min(path for path in document["paths"] if path.startswith(start))
        ok = document["paths"][path]["get"]["responses"]["200"]
        schema = _resolved(document, ok["content"]["application/json"]["schema"])
        if "members" in schema.get("properties", {}):
            members = _resolved(document, schema["properties"]["members"])
            schema = _resolved(document, members["items"])
        return set(schema["properties"])
    except (KeyError, TypeError, ValueError):
        return None


def _resolved(document: Any, schema: Any) -> Any:
    while "$ref" in schema:
        found = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema
