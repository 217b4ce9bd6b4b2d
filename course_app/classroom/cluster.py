"""The same grading on several machines: a Dask cluster, one submission at a time on each.

A worker that is lost takes nothing with it: Dask hands its submission to another one. Answers
travel as bytes, results as JSON; a worker needs the course installed, and no shared disk.
"""

import atexit
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from course_app.classroom.collect import Submission
from course_app.classroom.grade import Judging, seed_of, unchecked
from course_app.classroom.ledger import Grade, Ledger, grade_of
from course_app.errors import CourseError
from course_app.grading import Scorecard
from course_app.services.folders import make_lab_folder

CONNECT_SECONDS = 20


def grade_on_cluster(
    scheduler: str,
    submissions: Sequence[Submission],
    ledger: Ledger,
    *,
    seed: int,
    again: Sequence[str] = (),
) -> Iterator[Grade]:
    """The grades in the order in which they come; each is kept at once.

    Args:
        scheduler: its address, such as ``tcp://10.0.0.1:8786``.

    Raises:
        CourseError: nobody answers there, or the package ``distributed`` is missing.
    """
    todo: dict[str, Submission] = {}
    for submission in submissions:
        known = None if submission.learner in again else ledger.find(submission)
        if submission.path is None and known is None:
            known = _kept(ledger, submission, grade_of(submission))
        if known is not None:
            yield known
        else:
            todo[f"{submission.key}.{submission.exercise}"] = submission
    if todo:
        yield from _submitted(scheduler, todo, ledger, seed)


def _submitted(
    scheduler: str, todo: dict[str, Submission], ledger: Ledger, seed: int
) -> Iterator[Grade]:
    distributed = _distributed()
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError) as error:
        raise CourseError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one with `dask scheduler`, "
            "and a worker on each machine with `dask worker ADDRESS --nthreads 1`."
        ) from error
    with client:
        futures = {}
        for name, each in todo.items():
            assert each.path is not None
            try:
                content = each.path.read_bytes()
            except OSError as error:  # one answer's trouble is that answer's remark
                yield _kept(ledger, each, grade_of(replace(each, problem=unchecked(error))))
                continue
            order = (each.path.name, content, each.exercise, seed_of(each, seed))
            future = client.submit(grade_there, *order, pure=False, retries=0)
            futures[future] = name
        for future in distributed.as_completed(futures):
            each = todo[futures[future]]
            yield _kept(ledger, each, _result(future, each))


def _kept(ledger: Ledger, submission: Submission, grade: Grade) -> Grade:
    ledger.keep(submission, grade)
    return grade


def _result(future: Any, submission: Submission) -> Grade:
    if future.status == "finished":
        return grade_of(submission, Scorecard.from_dict(future.result()))
    problem = f"The workers that graded it were lost, or failed: {future.exception()}"
    return grade_of(replace(submission, problem=problem))


def grade_there(name: str, content: bytes, exercise: str, seed: int) -> dict[str, Any]:
    """Runs on a worker: the scorecard of one answer as JSON would hold it."""
    with _folder() as folder:
        path = folder / f"submission{Path(name).suffix}"
        path.write_bytes(content)
        return dict(_judging()(path, exercise, seed).to_dict())


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of its own, which the next lab on this machine removes if this worker is killed."""
    folder = make_lab_folder(None)
    try:
        yield folder.path
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)
        folder.release()


@cache
def _judging() -> Judging:
    """One per worker, so that its services are started once."""
    judging = Judging()
    atexit.register(judging.close)
    return judging


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise CourseError(
            "Grading on a cluster needs the package distributed: `make instructor` adds it."
        ) from error
    return distributed
