"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import Changed, RightAnswer

ANSWERS = Path(__file__).parent / "answers"

# So it knows of a full page that it is the last.
_ONE_MORE = [
    ("rows = await", "found = await"),
    ("(PAGE, limit, at, number)", "(PAGE, limit + 1, at, number)\n        rows = found[:limit]"),
    ("if len(rows) == limit else None", "if len(found) > limit else None"),
]

RIGHT_ANSWERS = (
    RightAnswer("SQLAlchemy Core", ANSWERS / "sqlalchemy_core.py"),
    RightAnswer("SQLAlchemy's ORM", ANSWERS / "sqlalchemy_orm.py"),
    RightAnswer("two statements in a transaction", ANSWERS / "two_statements.py"),
    RightAnswer("a LATERAL join", ANSWERS / "lateral_join.py"),
    RightAnswer("one post more is read", Changed(ANSWERS / "lateral_join.py", _ONE_MORE)),
)
