"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("SQLAlchemy Core and locks", ANSWERS / "sqlalchemy_core.py"),
    RightAnswer("a lock for each report", ANSWERS / "locks.py"),
    RightAnswer("a report for each tag", ANSWERS / "slices.py"),
)
