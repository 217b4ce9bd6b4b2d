"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("a pool of threads", ANSWERS / "threads.py"),
    RightAnswer("a queue and tasks", ANSWERS / "queue_and_tasks.py"),
    RightAnswer("to_thread, few threads", ANSWERS / "to_thread.py"),
)
