"""What the check sends and writes: paths, clients who never stop, a table that is gone."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from course_app.grading import Exam
from course_app.load import Generator, LoadResult, Request, Response, get, sequence, uniform

REPORT = "/tags/{tag}/authors?limit={limit}"
#: Tags of some hundred posts each: a report on them costs enough, and not a check's time.
TAGS = range(101, 141)
_CLIENTS = 4
#: The dataset's tags, and the largest limit.
_LAST_TAG, _LARGEST_LIMIT = 200, 50
#: A report on a tag up to this one shows what a new report costs, and those on others are counted.
_LAST_NEW_TAG = 40


def path_of(tag: int, limit: int) -> str:
    """The path of one report."""
    return REPORT.format(tag=tag, limit=limit)


def new_path(exam: Exam) -> str:
    """The path of a report that has hardly been asked for before."""
    return path_of(exam.random.choice(TAGS), exam.random.randint(11, 40))


def marked(answer: Response) -> set[int]:
    """The authors who are shown as the reader."""
    return {author.get("id", 0) for author in authors_of(answer) if author.get("you")}


def authors_of(answer: Response) -> list[dict[str, int]]:
    """The authors in a report; none where it is no report."""
    try:
        authors = answer.json()["authors"]
        return [author for author in authors if isinstance(author, dict)]
    except (json.JSONDecodeError, KeyError, TypeError):
        return []


@contextmanager
def asked_all_the_time(exam: Exam, path: str) -> Iterator[None]:
    """Some clients ask for one report, without a break, while the context is open."""
    done, results = threading.Event(), list[LoadResult]()

    with Generator() as side, exam.blaming(exam.learner):
        target = side.connect(
            exam.learner.url,
            path,
            concurrency=_CLIENTS,
            timeout_seconds=exam.limits.request_seconds,
        )

        def load() -> None:
            while not done.is_set():
                results.append(side.closed(target, seconds=0.1))

        thread = threading.Thread(target=load, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
    for result in results:
        exam.refuse_errors(exam.learner, result)


@contextmanager
def without_table(exam: Exam, table: str) -> Iterator[None]:
    """The learner's database refuses statements on a table while the context is open."""
    execute = exam.learner.workspace.execute
    execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        yield
    finally:
        execute(f"ALTER TABLE {table}_away RENAME TO {table}")


def fetches_side_by_side(exam: Exam, clients: int = 8) -> int:
    """How many statements wait at once, when each client asks for a report of its own."""
    traffic = get(REPORT, tag=uniform(41, 200), limit=uniform(41, 50))
    with (
        exam.target(exam.learner, traffic, clients, exam.new_seed()) as target,
        exam.learner.workspace.locked("post_tags", 0.5) as lock,
    ):
        exam.refuse_errors(exam.learner, exam.generator.closed(target, requests=clients))
    return lock.most_waiting


def cost_of_new(exam: Exam) -> float:
    """The statements for a report that is not there yet."""
    path = path_of(exam.random.randint(1, _LAST_NEW_TAG), exam.random.randint(1, _LARGEST_LIMIT))
    return _statements(exam, [get(path)], 1)


def kept(exam: Exam, tags: int, limits: int, cost: float, patience_seconds: float) -> int | None:
    """Ask for reports on so many tags with so many limits, twice: how many fetches are spared?

    Counted by what one costs, because a report that is kept may serve several limits. None if it
    took too long.

    The second time goes from the last to the first: what a cache still holds then is found before
    what it does not hold takes its place.
    """
    first = exam.random.randint(_LAST_NEW_TAG + 1, _LAST_TAG + 1 - tags)
    last = first + tags - 1
    smallest = exam.random.randint(1, _LARGEST_LIMIT + 1 - limits)
    # The largest limit first: whoever cuts the others out of it makes one report for all of them.
    falling = range(smallest + limits - 1, smallest - 1, -1)
    there = [get(REPORT, tag=sequence(first), limit=each) for each in falling]
    back = [get(REPORT, tag=sequence(last, -1), limit=each) for each in reversed(falling)]
    began = time.monotonic()
    before, after = (_statements(exam, each, tags) for each in (there, back))
    if time.monotonic() - began > patience_seconds:
        return None
    return round((before - after) / cost) if cost else tags * limits


def _statements(exam: Exam, traffic: list[Request], count: int) -> float:
    """How many there are while each kind of request is sent so many times."""
    probes = exam.probes(exam.learner)
    for probe in probes:
        probe.start()
    for each in traffic:
        exam.ask(exam.learner, each, count)
    readings = [reading for probe in probes for reading in probe.stop()]
    return sum(reading.value for reading in readings if reading.name == "SQL statements")
