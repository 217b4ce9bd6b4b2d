"""How answers are judged: right for each reader, young enough, one fetch for all, and bounded."""

import secrets
import time

from course_app.exercises.in_memory_cache.traffic import (
    REPORT,
    TAGS,
    asked_all_the_time,
    authors_of,
    cost_of_new,
    fetches_side_by_side,
    kept,
    marked,
    new_path,
    path_of,
    without_table,
)
from course_app.grading import (
    CannotTell,
    Evidence,
    Exam,
    Failure,
    contract,
    hygiene,
    mechanism,
    speed,
)
from course_app.load import choice, get, mix, sequence, uniform

#: What the text of the exercise allows.
MOST_SECONDS = 1.0
MOST_ENTRIES = 20
_FEW = f"{MOST_ENTRIES} or fewer"

_TAGS, _USERS, _LARGEST_LIMIT = 200, 100_000, 50

#: Statements of the app at the beginning for one report.
_STATEMENTS = 2
#: An entry expires now and then while hits are counted.
_MOST_ON_HITS = 0.25
#: A fetch, and what a busy machine adds to it.
_PATIENCE_SECONDS = 0.4
_CROWD = 50
_FEWEST_AT_ONCE = 3
#: Asked for to see how many are kept, tags and limits: who keeps one report for all limits of a
#: tag keeps few of the first, and shows with the second whether those have a bound.
_LOOKS = ((10, 6), (40, 1))
#: So often each look is tried.
_ATTEMPTS = 4

READS = mix(
    get(REPORT, tag=uniform(101, 103), limit=choice([1, 4, 10]), weight=4),
    get("/tags/{tag}/authors", tag=uniform(101, 103), weight=1),
    get(REPORT, tag=uniform(1, _TAGS), limit=uniform(1, _LARGEST_LIMIT), weight=1),
    get(REPORT, tag=uniform(1000, 9000), limit=5, expect_status=404, weight=1),
    get(REPORT, tag=uniform(1, _TAGS), limit=choice([0, 51]), expect_status=422, weight=0.5),
)
POPULAR = get(
    REPORT + "&reader={reader}",
    tag=uniform(101, 102),
    limit=choice([6, 7]),
    reader=uniform(1, _USERS),
)


class MarksForStrangers(Failure):
    """A reader is told `you` about somebody else."""

    hint = (
        "What one request writes into a report, the next one finds there. A copy of the outer "
        "dictionary still shares the authors in it."
    )


class TooOld(Failure):
    """An answer is older than one second."""

    hint = (
        "When does an entry stop to be used, and what moves that time? It is counted from the "
        "moment of the fetch, for everybody, however often or seldom an entry is read."
    )


class FetchesAgain(Failure):
    """A report that is there already is fetched again."""

    hint = (
        "Statements are sent for answers that were made a moment ago. Is the report kept at all, "
        "and is there something in its key that the report does not depend on?"
    )


class StopsCaching(Failure):
    """Once many reports were asked for, a new one is no longer kept."""

    hint = "A full cache has to make room for what comes, or it holds for ever what came first."


class Stampedes(Failure):
    """When a popular report expires, everybody who asks fetches it."""

    hint = (
        "Between the look into the cache and the new entry lies an `await`, and during it others "
        "look, too. They should find that a fetch is under way, and wait for its result."
    )


class OneAtATime(Failure):
    """A fetch holds up the fetches of other reports."""

    hint = "One lock for all is too much: only those who want the same report need to wait."


class KeepsErrors(Failure):
    """An error is answered again although its cause is gone."""

    hint = (
        "What happens to an exception in your cache? A task or a future that has failed is an "
        "answer, too, if it is kept. Only what was fetched well may stay."
    )


class HidesErrors(Failure):
    """When PostgreSQL refuses a statement, the answer is no longer 503."""

    hint = (
        "`load` turns the error of the database into a 503. Let it pass to all who wait. A report "
        "that is too old is no answer either: nobody can see that it is old."
    )


class KeepsEverything(Failure):
    """More than 20 reports are kept."""

    hint = (
        "Expired or not, what is never removed stays. When a report comes into a full cache, which "
        "one goes?"
    )


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Every answer is as before, also for other limits and tags that do not exist."""
    return exam.same_answers(READS, 28)


@contract(points=1)
def own_marks(exam: Exam) -> Evidence:
    """A reader who is among the authors is marked with `you`, and nobody else is."""
    for _ in range(2):
        path = new_path(exam)
        (plain,) = exam.ask(exam.reference, path)
        first, second = (author["id"] for author in authors_of(plain)[:2])
        readers = (0, first, second, first, 0)
        paths = [f"{path}&reader={reader}" if reader else path for reader in readers]
        mine = [exam.ask(exam.learner, each)[0] for each in paths]
        for reader, answer in zip(readers, mine, strict=True):
            if strangers := marked(answer) - {reader}:
                observed = f"reader {reader or '(none)'} was told to be author {min(strangers)}"
                raise MarksForStrangers(observed, "a mark for this reader only")
        exam.compare(mine, [exam.ask(exam.reference, each)[0] for each in paths])
    return Evidence("10 of 10 answers", "each with its own reader's mark")


@contract(points=1)
def fresh_answers(exam: Exam) -> Evidence:
    """A second after a change every answer shows it, be the report asked for often or seldom."""
    often, seldom = (path_of(tag, 10) for tag in exam.random.sample(TAGS, 2))
    name = f"Name {secrets.token_hex(8)}"
    seconds = MOST_SECONDS + _PATIENCE_SECONDS
    with asked_all_the_time(exam, often):
        answers = [exam.ask(exam.learner, path)[0] for path in (often, seldom)]
        firsts = [authors_of(answer)[0]["id"] for answer in answers if authors_of(answer)]
        exam.write("UPDATE users SET name = %s WHERE id = ANY(%s)", name, firsts)
        time.sleep(seconds)
        again = {path: exam.ask(exam.learner, path)[0] for path in (often, seldom)}
    for path, answer in again.items():
        if name not in answer.text:
            asked = "all the time" if path == often else "once, and now again"
            raise TooOld(f"old after {seconds:.1f} s (asked for {asked})", f"{MOST_SECONDS:g} s")
    return Evidence("2 of 2 changes seen", "every change")


@mechanism(points=2)
def hits_are_free(exam: Exam) -> Evidence:
    """A report that was made a moment ago costs no statement, whoever reads it."""
    others = get(REPORT, tag=sequence(exam.random.randint(41, 170)), limit=_LARGEST_LIMIT)
    exam.ask(exam.learner, others, MOST_ENTRIES + 5)
    statements = _on_hits(exam)
    observed, wanted = f"{statements:.2f} statements a request", "none but for expired reports"
    numbers = {"statements": statements}
    if statements > _MOST_ON_HITS:
        # Kept by an app that begins anew, it was the other reports that took the room.
        exam.learner.restart()
        kind = FetchesAgain if _on_hits(exam) > _MOST_ON_HITS else StopsCaching
        raise kind(observed, wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


@mechanism(points=2)
def one_fetch(exam: Exam) -> Evidence:
    """When a report has expired, one of 50 clients fetches it, and other reports need not wait."""
    path = new_path(exam)
    exam.ask(exam.learner, path)
    expired = time.monotonic() + MOST_SECONDS + 0.1
    at_once = fetches_side_by_side(exam)  # of other reports, while this one gets old
    time.sleep(max(0.0, expired - time.monotonic()))
    # While the table is locked no fetch can end, so that all 50 find that there is no report.
    with exam.learner.workspace.locked("post_tags", 0.6):
        counts = exam.count(
            exam.learner, path, requests=_CROWD, concurrency=_CROWD, warmup_requests=0
        )
    statements = round(counts["SQL statements"] * _CROWD)
    observed, wanted = f"{statements} statements", f"{_STATEMENTS} or fewer"
    if statements > _STATEMENTS:
        raise Stampedes(observed, wanted, numbers={"statements": statements})
    observed, wanted = f"{observed}; {at_once} other reports at once", f"{wanted}; several at once"
    numbers = {"statements": statements, "fetches_at_once": at_once}
    if at_once < _FEWEST_AT_ONCE:
        raise OneAtATime(observed, wanted, numbers=numbers, credit=0.5)
    return Evidence(observed, wanted, numbers)


@speed(points=1)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain for popular reports, 2 requests at a time."""
    return exam.speed(POPULAR, concurrency=2)


@hygiene(points=1)
def errors_are_not_kept(exam: Exam) -> Evidence:
    """As soon as the cause of an error is gone, so is the error."""
    missing = path_of(number := exam.random.randint(10_000, 99_999), 5)
    exam.same_answers(get(missing, expect_status=404), 1)
    exam.write("INSERT INTO tags (id, name) VALUES (%s, 'new')", number)
    new, known = (path_of(tag, exam.random.randint(41, 50)) for tag in exam.random.sample(TAGS, 2))
    exam.ask(exam.learner, known)
    time.sleep(MOST_SECONDS + 0.1)
    with without_table(exam, "post_tags"):
        for path, what in ((new, "a new report"), (known, "a report that has expired")):
            (refused,) = exam.ask(exam.learner, path)
            if refused.status != 503:
                raise HidesErrors(f"{refused.status} for {what}", "503")
    for each in (missing, new, known):
        (mine,), (theirs,) = exam.ask(exam.learner, each), exam.ask(exam.reference, each)
        if mine.status != theirs.status:
            raise KeepsErrors(f"still {mine.status} at {each}", f"{theirs.status}")
    return Evidence("404 and 503 were forgotten", "every error")


@hygiene(points=1)
def bounded(exam: Exam) -> Evidence:
    """At most 20 reports are kept."""
    # Without rows a report is made so quickly that none expires while they are counted.
    exam.learner.workspace.execute("TRUNCATE post_tags")
    cost, numbers = cost_of_new(exam), list[int]()
    for tags, limits in _LOOKS:
        numbers.append(number := _kept(exam, tags, limits, cost))
        if number > MOST_ENTRIES:
            observed = f"{number} kept of {tags * limits}"
            raise KeepsEverything(observed, _FEW, numbers={"kept": number})
    observed = ", ".join(
        f"{number} kept of {tags * limits}"
        for number, (tags, limits) in zip(numbers, _LOOKS, strict=True)
    )
    return Evidence(observed, _FEW, {"kept": max(numbers)})


def _kept(exam: Exam, tags: int, limits: int, cost: float) -> int:
    for _ in range(_ATTEMPTS):
        number = kept(exam, tags, limits, cost, MOST_SECONDS)
        if number is not None:
            return number
    raise CannotTell("reports expired while they were counted", _FEW)


def _on_hits(exam: Exam) -> float:
    return exam.count(exam.learner, POPULAR, requests=400)["SQL statements"]
