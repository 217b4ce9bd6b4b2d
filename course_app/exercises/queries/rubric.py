"""How answers are judged: same posts, stable pages, few statements, few buffers, no bodies."""

import re
import secrets

from course_app.exercises.queries.pages import (
    LosesThePlace,
    ids,
    page,
    request,
    require_end,
    same_posts,
    walk,
)
from course_app.grading import Evidence, Exam, Failure, contract, hygiene, mechanism, speed
from course_app.load import get, uniform

MOST_POSTS = 100
MOST_STATEMENTS = 2

#: Five posts with authors and tags take a good answer about 70 buffers; the table has 14 000.
MOST_BUFFERS = 300
_FEW, _USUAL = 5, 20
_DEEP_PAGES = 10

#: Bodies of 200 kB lie apart from their rows, in hundreds of pages that nobody has to read.
_MOST_MORE_BUFFERS = 150
_LONG_BODIES = """
UPDATE posts SET body = (SELECT string_agg(md5(n || '.' || id), '') FROM generate_series(1, 6400) n)
WHERE id IN (SELECT id FROM posts ORDER BY created_at DESC, id DESC LIMIT 20)
"""
_RENAME = "UPDATE users SET name = %s WHERE id = (SELECT author_id FROM posts WHERE id = %s)"
_NEW_POSTS = """
INSERT INTO posts (author_id, title, body, created_at)
SELECT n, 'New ' || n, '', %s::timestamptz + (n / 10) * interval '1 s'
    + (n %% 10 / 2) * interval '137 us'
FROM generate_series(1, %s) AS n
"""
_COMMA = "INSERT INTO tags (id, name) VALUES (1001, 'salt, pepper')"
_TAG_THE_NEWEST = """
INSERT INTO post_tags SELECT id, 1001 FROM posts ORDER BY created_at DESC, id DESC LIMIT 5
"""
#: By 5 the last page is not full, by 6 it is.
_POSTS_LEFT, _BY = 12, (5, 6)
_LEAVE_FEW = f"""
DELETE FROM posts WHERE id NOT IN
    (SELECT id FROM posts ORDER BY created_at DESC, id DESC LIMIT {_POSTS_LEFT})
"""

#: A time in a cursor, as ISO 8601 writes it, between whatever else is there.
_TIME = re.compile(r"\d{4}-\d\d-\d\d(\D)\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:\d\d)?")
#: The year 0 once it is UTC, which Python does not know.
_BEFORE_YEAR_1 = r"0001-01-01\g<1>00:00:00+23:00"

FIRST_PAGES = get("/report?limit={limit}", limit=uniform(1, MOST_POSTS))


class StaleAnswer(Failure):
    """The report shows what was in the database some time ago."""

    hint = "This exercise is about queries, not caches: each request has to ask PostgreSQL."


class UnstablePages(Failure):
    """A reader who turns the page meets a post again, or misses one."""

    hint = (
        "A new post moves all others one place down. What names a place in the list that does "
        "not move, even if the post that was there is deleted?"
    )


class LosesPosts(Failure):
    """Posts with the same time are lost, or repeated, between two pages."""

    hint = "Several posts can have the same `created_at`. What else is in the ORDER BY?"


class AsksTooOften(Failure):
    """A page takes more statements than it may, however many posts are on it."""

    hint = (
        "Which of the statements could bring what another one asks for, too? Authors come by "
        "JOIN, tags by a subquery that makes an ARRAY, or by one query for the whole page."
    )


class TooManyStatements(Failure):
    """The number of statements grows with the number of posts on the page."""

    hint = (
        "Count the awaits in the loop (`gather` has a loop, too). One query can bring the names "
        "for all posts of the page: JOIN, = ANY(...), or a subquery that makes an ARRAY."
    )


class ReadsTheTable(Failure):
    """The first page reads (nearly) a whole table."""

    hint = (
        "EXPLAIN (ANALYZE, BUFFERS) shows where: a Seq Scan or a Sort means that there is no "
        "index with the columns of ORDER BY. Your app may create one in its lifespan."
    )


class ReadsWhatItSkips(Failure):
    """A deep page reads all the posts before it."""

    hint = (
        "Look for `Filter` and `Rows Removed by Filter` in the plan. PostgreSQL jumps to a place "
        "in an index when you compare rows: (created_at, id) < ($1, $2)."
    )


class CarriesBodies(Failure):
    """The report reads the long texts of the posts, which it does not show."""

    hint = "Which columns does the page need? Name them, and leave the others where they are."


class NoLimit(Failure):
    """A client may ask for as many posts as it likes, or for none."""

    hint = "FastAPI refuses such values with 422 if the parameter says which ones are allowed."


class TakesAnyCursor(Failure):
    """A cursor that is none is not refused."""

    hint = (
        "Clients send all kinds of text. What happens where yours is taken apart, and where the "
        "driver gets the parts? A time can leave Python's calendar when it becomes UTC."
    )


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """The same posts, authors and tags as before, page by page."""
    exam.write(_COMMA)
    exam.write(_TAG_THE_NEWEST)
    evidence = exam.same_answers(FIRST_PAGES, 20, same=same_posts)
    mine, _ = walk(exam, exam.learner, pages=4, limit=15)
    theirs, _ = walk(exam, exam.reference, pages=4, limit=15)
    seen = len(set(ids(mine)))
    if mine != theirs:
        kind = LosesThePlace if seen <= 15 else LosesPosts
        raise kind(f"4 pages of 15: {seen} posts, not in their place", "the newest 60 in order")
    return evidence


@contract(points=1)
def fresh_answers(exam: Exam) -> Evidence:
    """The report shows what is in the database now."""
    name = f"Name {secrets.token_hex(8)}"
    (post, *_), _ = page(exam, exam.learner, _FEW)
    exam.write(_RENAME, name, post["id"])
    exam.write("INSERT INTO tags (id, name) VALUES (1000, %s)", name)
    exam.write("INSERT INTO post_tags VALUES (%s, 1000)", post["id"])
    (again, *_), _ = page(exam, exam.learner, _FEW)
    if again["author"] != name or name not in again["tags"]:
        raise StaleAnswer(str(again), f"the author and a tag are now {name}")
    return Evidence("2 of 2 changes seen", "every change")


@contract(points=1)
def stable_pages(exam: Exam) -> Evidence:
    """No post comes twice or gets lost, whoever writes in between."""
    wanted = "each post once, in order"
    exam.write(_NEW_POSTS, "2031-01-01", 60)
    exam.same_answers(request(70), 1, same=same_posts)
    theirs = ids(walk(exam, exam.reference, pages=8, limit=7)[0])
    if ids(walk(exam, exam.learner, pages=8, limit=7)[0]) != theirs:
        raise LosesPosts("posts of the same second are missing, or repeated", wanted)
    first, cursor = page(exam, exam.learner, 7)
    exam.write(_NEW_POSTS, "2031-01-02", 3)
    # The post at the page's end, too: no cursor may need the row that it was made of.
    exam.write("DELETE FROM posts WHERE id = ANY(%s)", ids(first)[3:])
    second, _ = page(exam, exam.learner, 7, cursor)
    if ids(second) != theirs[7:14]:
        again, missed = set(ids(second)) & set(ids(first)), set(theirs[7:14]) - set(ids(second))
        raise UnstablePages(f"{len(again)} posts again, {len(missed)} missing", wanted)
    return Evidence("none lost, none twice", wanted)


@mechanism(points=2)
def few_statements(exam: Exam) -> Evidence:
    """At most 2 statements a request, however many posts are on the page."""
    count = _statements(exam, _USUAL)
    observed, wanted = f"{count:.1f} statements for {_USUAL} posts", f"{MOST_STATEMENTS} or fewer"
    numbers = {"statements": count}
    if count > MOST_STATEMENTS + 0.1:
        few = numbers["statements_of_a_short_page"] = _statements(exam, _FEW)
        kind = TooManyStatements if count > few + 1 else AsksTooOften
        raise kind(f"{observed}, {few:.1f} for {_FEW}", wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


@mechanism(points=1)
def few_buffers(exam: Exam) -> Evidence:
    """Five posts take at most 300 buffers, on the first page and 1000 posts further down."""
    wanted = f"{MOST_BUFFERS} or fewer"
    first = _buffers(exam, _FEW)
    if first > MOST_BUFFERS:
        raise ReadsTheTable(f"{first:,.0f} buffers for the first page", wanted)
    _, cursor = walk(exam, exam.learner, pages=_DEEP_PAGES, limit=MOST_POSTS)
    deep = _buffers(exam, _FEW, cursor)
    if deep > MOST_BUFFERS:
        raise ReadsWhatItSkips(f"{first:,.0f} at first, {deep:,.0f} further down", wanted)
    numbers = {"first_buffers": first, "deep_buffers": deep}
    return Evidence(f"{first:,.0f} and {deep:,.0f} buffers", wanted, numbers)


@mechanism(points=1)
def no_bodies(exam: Exam) -> Evidence:
    """The report is as cheap when the posts on it have texts of 200 kB."""
    before = _buffers(exam, _USUAL)
    exam.learner.workspace.execute(_LONG_BODIES)
    more = _buffers(exam, _USUAL) - before
    observed, wanted = f"{max(more, 0):,.0f} buffers more", f"{_MOST_MORE_BUFFERS} or fewer"
    if more > _MOST_MORE_BUFFERS:
        raise CarriesBodies(observed, wanted, numbers={"more_buffers": more})
    return Evidence(observed, wanted, {"more_buffers": more})


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain, for pages of 20 posts, 2 requests at a time."""
    return exam.speed(request(_USUAL), concurrency=2, same=same_posts)


@hygiene(points=1)
def refuses(exam: Exam) -> Evidence:
    """A limit outside of 1 to 100 or a cursor that is none is a 422; the last page has no next."""
    for limit in ("0", "-1", str(MOST_POSTS + 1), "100000"):
        (answer,) = exam.ask(exam.learner, get(f"/report?limit={limit}", expect_status=422))
        if answer.status != 422:
            raise NoLimit(f"limit={limit}: {answer.status}", "422")
    for cursor in ("nonsense", "not+a+cursor", "%C3%A9%20"):
        (answer,) = exam.ask(exam.learner, get(f"/report?cursor={cursor}", expect_status=422))
        if answer.status != 422:
            raise TakesAnyCursor(f"cursor={cursor}: {answer.status}", "422")
    _, following = page(exam, exam.learner, _FEW)
    for odd in _odd_cursors(following or ""):
        (answer,) = exam.ask(exam.learner, request(_FEW, odd))
        # Whatever it means to this app: it may be a place in the list after all.
        if answer.status not in (200, 422):
            raise TakesAnyCursor(f"cursor={odd}: {answer.status}", "422")
    exam.write(_LEAVE_FEW)
    newest = ids(page(exam, exam.reference, _POSTS_LEFT)[0])
    for by in _BY:
        require_end(exam, exam.learner, newest, by)
    return Evidence("all refused; the list ends", "422, and null at the end")


def _odd_cursors(cursor: str) -> list[str]:
    """The app's own cursor and one of ours, with an id that no bigint holds, or such a time."""
    return [
        re.sub(r"\d+(?=\D*$)", "9" * 20, cursor),
        "2024-01-01T00:00:00+00:00_" + "9" * 20,
        _TIME.sub(_BEFORE_YEAR_1, cursor),
    ]


def _statements(exam: Exam, limit: int) -> float:
    return exam.count(exam.learner, request(limit), requests=60, same=same_posts)["SQL statements"]


def _buffers(exam: Exam, limit: int, cursor: str | None = None) -> float:
    return exam.count(exam.learner, request(limit, cursor), requests=30, concurrency=2)["buffers"]
