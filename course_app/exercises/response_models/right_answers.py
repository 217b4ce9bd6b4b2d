"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("rows left out by hand", ANSWERS / "members_by_hand.py"),
    RightAnswer("SQLAlchemy's columns", ANSWERS / "sqlalchemy_orm.py"),
)
