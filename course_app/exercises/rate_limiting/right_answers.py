"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("a sorted set", ANSWERS / "sorted_set.py"),
    RightAnswer("APIKeyHeader", ANSWERS / "api_key_header.py"),
)
