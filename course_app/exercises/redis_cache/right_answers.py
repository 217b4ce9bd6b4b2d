"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("a version in the key", ANSWERS / "versions.py"),
    RightAnswer("WATCH", ANSWERS / "watching.py"),
)
