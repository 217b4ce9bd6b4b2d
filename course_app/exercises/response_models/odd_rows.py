"""Rows that are not as one expects: a bio that is null, and a name that is empty."""

from course_app.exercises.response_models.pages import page, public, read, same_public
from course_app.grading import Evidence, Exam, Failure, contract
from course_app.load import get
from course_app.measure.answers import excerpt

_MEMBERS = 100_000
_PARTS_OF_A_SECOND = """
UPDATE users SET created_at = created_at + interval '137 us' WHERE id BETWEEN %s AND %s
"""


class RefusesEmptyBio(Failure):
    """A member who has written nothing about themselves takes the page down, or is not shown."""

    hint = "The text says what `bio` may be. Does your model say the same?"


class OneBadRowForAll(Failure):
    """A row without a name takes the whole page down."""

    hint = (
        "FastAPI validates the answer as a whole, when it is too late to leave one member out. "
        "Validate row by row before that: what raises ValidationError is not a member."
    )


class ShowsBadRow(Failure):
    """A row without a name is shown as a member."""

    hint = "An empty text is a `str`, too. Pydantic's Field has a word for how long it has to be."


class HidesBadRows(Failure):
    """Rows are left out, and nobody is told how many."""

    hint = "`left_out` is the number of rows that PostgreSQL found less the members that you show."


class FindsBadRow(Failure):
    """Who asks for a member without a name gets an answer other than 404."""

    hint = "What the list leaves out does not exist for the public: the other handler, too."


@contract(points=1)
def odd_rows(exam: Exam) -> Evidence:
    """A bio may be null; a row without a name is left out and counted, the others are shown."""
    start = exam.random.randint(1, _MEMBERS - 100)
    no_bio, no_name = start + 3, start + 7
    exam.write("ALTER TABLE users ALTER COLUMN bio DROP NOT NULL")
    exam.write("UPDATE users SET bio = NULL WHERE id = %s", no_bio)
    answer = page(exam, exam.learner, start, 5)
    if answer.status != 200 or no_bio not in _ids(exam, start, 5):
        raise RefusesEmptyBio(excerpt(answer), f"member {no_bio} with bio null")
    # The second is not on the page, and does not count there.
    exam.write("UPDATE users SET name = '' WHERE id = ANY(%s)", [no_name, start + 60])
    exam.write(_PARTS_OF_A_SECOND, start, start + 12)
    _require_left_out(exam, start, no_name)
    exam.same_answers(get(f"/members?after={start}&limit=12"), 1, same=same_public)
    # Later criteria ask for any member, and wonder if one is not there.
    exam.write("UPDATE users SET name = 'Found' WHERE name = ''")
    return Evidence("one shown with null, one left out and counted", "the same")


def _require_left_out(exam: Exam, start: int, no_name: int) -> None:
    answer = page(exam, exam.learner, start, 12)
    wanted = f"11 members without {no_name}, left_out 1"
    if answer.status != 200:
        raise OneBadRowForAll(excerpt(answer), wanted)
    body, members = read(answer)
    if no_name in [public(member)["id"] for member in members]:
        raise ShowsBadRow(f"member {no_name} has the name ''", wanted)
    if len(members) < 11:
        raise OneBadRowForAll(f"{len(members)} members", wanted)
    if body.get("left_out") != 1:
        raise HidesBadRows(f"left_out is {body.get('left_out')}", wanted)
    (alone,) = exam.ask(exam.learner, get(f"/members/{no_name}", expect_status=404))
    if alone.status != 404:
        raise FindsBadRow(f"/members/{no_name}: {excerpt(alone)}", "404")


def _ids(exam: Exam, start: int, limit: int) -> list[int]:
    _, members = read(page(exam, exam.learner, start, limit))
    return [member["id"] for member in members]
