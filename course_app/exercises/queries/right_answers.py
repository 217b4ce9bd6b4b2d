"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("SQLAlchemy Core", ANSWERS / "sqlalchemy_core.py"),
    RightAnswer("SQLAlchemy's ORM", ANSWERS / "sqlalchemy_orm.py"),
    RightAnswer("two statements in a transaction", ANSWERS / "two_statements.py"),
    RightAnswer("a LATERAL join", ANSWERS / "lateral_join.py"),
)
