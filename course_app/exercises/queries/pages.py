"""Reading the report page by page, as criteria do."""

import json
from typing import Any
from urllib.parse import quote

from course_app.grading import Candidate, Exam, Failure
from course_app.load import Request, Response, get
from course_app.measure.answers import excerpt

Post = dict[str, Any]


class NoReport(Failure):
    """An answer is not a page of the report."""

    hint = 'A page is {"posts": [...], "next": ...}; `next` is text, or null on the last page.'


class LosesThePlace(Failure):
    """The cursors lead nowhere: the report ends too early, or repeats a page."""

    hint = "`next` of one page is the `cursor` of the following one. Does it go there and back?"


class NoEnd(Failure):
    """The list does not end as it should: an error, or a `next` on a page that is not full."""

    hint = (
        "After a full last page comes an empty one: what is `rows[-1]` there? Where fewer posts "
        "come than were asked for, there are no more."
    )


def request(limit: int, cursor: str | None = None) -> Request:
    """Ask for one page."""
    after = "" if cursor is None else f"&cursor={quote(cursor, safe='')}"
    # Braces would be taken for placeholders; quoted, a cursor has none.
    return get(f"/report?limit={limit}{after}")


def read(answer: Response) -> tuple[list[Post], str | None]:
    """The posts of a page, and the cursor of the following one.

    Raises:
        NoReport: it is something else.
    """
    wanted = 'a page: {"posts": [...], "next": "..."}'
    try:
        body = json.loads(answer.body)
        posts, after = body["posts"], body["next"]
        [post["id"] for post in posts]
    except (ValueError, KeyError, TypeError) as error:
        raise NoReport(excerpt(answer), wanted) from error
    if answer.status != 200 or not (after is None or isinstance(after, str)):
        raise NoReport(excerpt(answer), wanted)
    return posts, after


def page(
    exam: Exam, candidate: Candidate, limit: int, cursor: str | None = None
) -> tuple[list[Post], str | None]:
    """Ask for one page and read it."""
    (answer,) = exam.ask(candidate, request(limit, cursor))
    return read(answer)


def walk(
    exam: Exam, candidate: Candidate, *, pages: int, limit: int
) -> tuple[list[Post], str | None]:
    """The posts of the first pages one after the other, and where the following page begins.

    Raises:
        LosesThePlace: there is no next page although there are more posts.
    """
    posts, cursor = page(exam, candidate, limit)
    for number in range(2, pages + 1):
        if cursor is None:
            raise LosesThePlace(f"page {number - 1} has no next", "a cursor on each full page")
        more, cursor = page(exam, candidate, limit, cursor)
        posts += more
    return posts, cursor


def require_end(exam: Exam, candidate: Candidate, newest: list[int], limit: int) -> None:
    """Turn the page until `next` is null, and see that these posts came, which are all there are.

    A full last page may say null already.

    Raises:
        NoEnd: a page is an error, or one that is not full has a next.
        LosesThePlace: other posts came.
    """
    wanted = f"{len(newest)} posts, then null"
    seen: list[int] = []
    cursor: str | None = None
    # Each round brings a full page of posts that have not been seen, or is the last.
    while not seen or cursor is not None:
        (answer,) = exam.ask(candidate, request(limit, cursor))
        if answer.status != 200:
            raise NoEnd(f"after {len(seen)} posts by {limit}: {excerpt(answer)}", wanted)
        posts, cursor = read(answer)
        seen += ids(posts)
        if cursor is not None and len(posts) < limit:
            raise NoEnd(f"{len(posts)} posts for limit={limit}, and a next", wanted)
        if seen != newest[: len(seen)] or (cursor is None and seen != newest):
            raise LosesThePlace(f"{len(seen)} posts by {limit}, not in their place", wanted)


def same_posts(mine: Response, theirs: Response) -> bool:
    """Equal posts; cursors are everybody's own affair."""
    if mine.status != theirs.status or mine.status != 200:
        return mine.status == theirs.status
    return read(mine)[0] == read(theirs)[0]


def ids(posts: list[Post]) -> list[int]:
    """Only the ids."""
    return [post["id"] for post in posts]
