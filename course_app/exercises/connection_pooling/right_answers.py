"""Right answers that are made in other ways than ours."""

from pathlib import Path

from course_app.grading import Changed, RightAnswer

ANSWERS = Path(__file__).parent / "answers"

RIGHT_ANSWERS = (
    RightAnswer("SQLAlchemy Core", ANSWERS / "sqlalchemy_core.py"),
    RightAnswer("a pool made in the factory", ANSWERS / "pool_made_in_the_factory.py"),
    RightAnswer("psycopg2 in 250 threads", ANSWERS / "psycopg2_in_threads.py"),
    RightAnswer(
        "psycopg2 in FastAPI's forty threads",
        Changed(
            ANSWERS / "psycopg2_in_threads.py",
            [("        anyio.to_thread.current_default_thread_limiter().total_tokens = 250\n", "")],
        ),
    ),
)
