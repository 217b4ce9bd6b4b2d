"""Grade submissions one after another: two at once would measure each other."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from course_app.classroom.collect import Submission
from course_app.classroom.ledger import Grade, Ledger, grade_of
from course_app.grading import Checker, Outcome, Scorecard
from course_app.learn import load_exercise
from course_app.services import Services, start_services

#: A busy moment or a server that went away may be over in the next try.
TRIES = 2

#: Grades one answer: path, slug, seed.
Judge = Callable[[Path, str, int], Scorecard]


class Judging:
    """Checks answers with services that are started when first needed, and anew if they died."""

    def __init__(self) -> None:
        self._services: Services | None = None
        self._checker = Checker(self._running, isolated=True)

    def __call__(self, path: Path, exercise: str, seed: int) -> Scorecard:
        """One answer's scorecard. Another grading on this machine is waited for.

        Raises:
            Exception: whatever the last try raised, if none gave a card; the next answer gets
                new services.
        """
        loaded = load_exercise(exercise)
        card: Scorecard | None = None
        with one_at_a_time():
            for left in reversed(range(TRIES)):
                try:
                    card = self._checker.check(loaded, path, seed=seed)
                except Exception:  # as a database driver's, if the services died before the check
                    self._end_services()
                    if not left and card is None:
                        raise
                    continue
                if not card.open_points:
                    break
                if card.outcome is Outcome.COULD_NOT_CHECK:
                    self._end_services()
        assert card is not None, "a last try without a card raises"
        return card

    def close(self) -> None:
        """End the generator and the services."""
        self._checker.close()
        self._end_services()

    def __enter__(self) -> "Judging":
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def _running(self) -> Services:
        if self._services is None:
            self._services = start_services(dataset=False)
        return self._services

    def _end_services(self) -> None:
        services, self._services = self._services, None
        if services is not None:
            services.stop()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Grading measures, so a machine grades one answer at a time, whoever asks."""
    lock = _shared_lock(Path(tempfile.gettempdir(), "course-grading.lock"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _shared_lock(path: Path) -> int:
    """A descriptor of a file that every user of the machine can lock, whoever made it.

    Reading is enough for a lock, and the only right that others have in a folder like /tmp.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644))
    with suppress(OSError):
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    # Made with a strict umask, or something else of that name: a lock among one's own checks.
    own = path.with_stem(f"{path.stem}-{os.geteuid()}")
    return os.open(own, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def grade_class(
    submissions: Sequence[Submission],
    ledger: Ledger,
    judge: Judge,
    *,
    seed: int,
    again: Sequence[str] = (),
) -> Iterator[Grade]:
    """The grades, one after another; each is kept before the next one is begun.

    Args:
        seed: draws the same requests for the same learner each time, and others for others.
        again: learners whose answers are graded although nothing changed.
    """
    for submission in submissions:
        grade = None if submission.learner in again else ledger.find(submission)
        if grade is None:
            try:
                grade = _graded(submission, judge, seed)
            except Exception as error:  # one answer's trouble is that answer's remark
                grade = grade_of(replace(submission, problem=unchecked(error)))
            ledger.keep(submission, grade)
        yield grade


def unchecked(error: Exception) -> str:
    """Why there is no grade, as a remark."""
    return f"It could not be checked ({type(error).__name__}: {error})."


def _graded(submission: Submission, judge: Judge, seed: int) -> Grade:
    if submission.path is None:
        return grade_of(submission)
    card = judge(submission.path, submission.exercise, seed_of(submission, seed))
    return grade_of(submission, card)


def seed_of(submission: Submission, seed: int) -> int:
    """A learner's own seed in an exercise: neighbours cannot share hard-coded answers."""
    text = f"{seed} {submission.learner} {submission.exercise}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
