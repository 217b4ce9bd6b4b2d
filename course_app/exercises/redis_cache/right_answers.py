"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import Changed, RightAnswer

ANSWERS = Path(__file__).parent / "answers"
_REFERENCE = Path(__file__).parent / "reference.py"

RIGHT_ANSWERS = (
    RightAnswer("a version in the key", ANSWERS / "versions.py"),
    RightAnswer("WATCH", ANSWERS / "watching.py"),
    RightAnswer(
        "a pause of two and a half seconds",
        Changed(
            _REFERENCE,
            [
                ("PAUSE_SECONDS = 0.5", "PAUSE_SECONDS = 2.5"),
                # A time-out on a busy machine would be remembered for that long.
                ("socket_timeout=0.1, socket_c", "socket_timeout=0.3, socket_c"),
                ("MEASURED = {", "measured = MEASURED = {"),
            ],
        ),
    ),
)
