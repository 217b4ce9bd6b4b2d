"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("SQLAlchemy Core", ANSWERS / "sqlalchemy_core.py"),
    RightAnswer("a generation in the key", ANSWERS / "generations.py"),
)
