"""How directories are judged: what they tell, to whom a bad row matters, what an answer costs."""

import math
import secrets

import numpy as np

from course_app.exercises.response_models.pages import (
    PAGE,
    PUBLIC,
    documented,
    read,
    same_public,
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
from course_app.grading.candidate import Candidate, known
from course_app.grading.evidence import Number
from course_app.load import Request, get, mix, uniform
from course_app.measure.answers import excerpt
from course_app.measure.statistics import Interval, speedup_interval

_MEMBERS = 100_000
_LONGEST_PAGE = 500

LISTS = get("/members?after={after}&limit={limit}", after=uniform(0, 90_000), limit=uniform(1, 40))
DETAILS = get("/members/{id}", id=uniform(1, _MEMBERS))
LONG_PAGES = get(f"/members?after={{after}}&limit={_LONGEST_PAGE}", after=uniform(0, 90_000))
READS = mix(
    LISTS,
    DETAILS,
    get("/members/{id}", id=uniform(200_000, 900_000), expect_status=404),
    get("/members/{word}", word="many", expect_status=422),
    get("/members?limit={limit}", limit=uniform(501, 900), expect_status=422),
)
ENCODED = mix(LISTS, DETAILS)

#: The slow app takes some seven times the reference's CPU for a long page, other ways to
#: serialize in Python three times and more; validating twice does not reach this. Entities of
#: SQLAlchemy take 2.8 to 3.4 times: no verdict is sure of them, and the text says so.
_MOST_CPU = 3.0
_CPU_REQUESTS, _FEWEST_CPU_ROUNDS, _MOST_CPU_ROUNDS = 20, 6, 12

#: E-mail addresses of 100 kB lie apart from their rows. Who reads them reads 15 buffers more for
#: one member and 300 for 20; who does not, none.
_MOST_MORE_BUFFERS, _MOST_MORE_FOR_ONE = 150, 8
_LONG_ADDRESSES = """
UPDATE users SET email =
    (SELECT string_agg(md5(n || '.' || id), '') FROM generate_series(1, 3200) AS n)
WHERE id <= 20
"""
_FIRST_PAGE = get("/members?limit=20")
_FIRST_MEMBERS = get("/members/{id}", id=uniform(1, 20))


class Leaks(Failure):
    """The directory tells more of its members than it may."""

    hint = (
        "Compare the fields of an answer with the list in the text, in the list of members and "
        "for a single one. A type that allows any field lets every field through."
    )


class StaleAnswer(Failure):
    """The directory shows what was in the database some time ago."""

    hint = "This exercise is about the way from a row to its JSON; each request asks PostgreSQL."


class EncodesCallByCall(Failure):
    """FastAPI still looks at each value of an answer in Python."""

    hint = (
        "`jsonable_encoder` is called for answers of which FastAPI knows no type: look for a "
        "handler without a return annotation or response_model, or for a call of your own. "
        "Model instances alone do not help: FastAPI asks the decorator, not the value."
    )


class CostsTooMuch(Failure):
    """Long pages take several times the CPU that they need."""

    hint = (
        "Nothing goes through jsonable_encoder, and still something runs for each value. What "
        "happens between the rows and the bytes, and how often? An ORM that is asked for columns "
        "makes no object of each row."
    )


class FetchesWhatNobodySees(Failure):
    """PostgreSQL is still asked for columns that the directory does not show."""

    hint = "A model drops fields after they have been fetched. Who could leave them where they are?"


class NotDocumented(Failure):
    """OpenAPI does not say what a member is."""

    hint = (
        "Look at /docs of your app: does it know the answer's fields? A Response that you make "
        "yourself says nothing about them; a return annotation or response_model does."
    )


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """The same members with the same id, name, bio and time, also 404 and 422."""
    exam.same_answers(LONG_PAGES, 2, same=same_public)
    return exam.same_answers(READS, 30, same=same_public)


@contract(points=1)
def only_public(exam: Exam) -> Evidence:
    """Nobody sees more of a member than id, name, bio and created_at."""
    for request in (LISTS, DETAILS):
        for answer in exam.ask(exam.learner, request, 4):
            body, members = read(answer)
            extra = {field for member in members for field in member} - set(PUBLIC)
            if "members" in body:
                extra |= set(body) - set(PAGE)
            if extra:
                raise Leaks(f"{request.path}: {', '.join(sorted(extra))}", ", ".join(PUBLIC))
    return Evidence("nothing else", ", ".join(PUBLIC))


@contract(points=1)
def fresh_answers(exam: Exam) -> Evidence:
    """The directory shows what is in the database now."""
    member, bio = exam.random.randint(1, _MEMBERS - 10), f"New {secrets.token_hex(8)}"
    for path in (f"/members?after={member - 1}&limit=5", f"/members/{member}"):
        exam.ask(exam.learner, path)
    exam.write("UPDATE users SET bio = %s WHERE id = %s", bio, member)
    for path in (f"/members?after={member - 1}&limit=5", f"/members/{member}"):
        (answer,) = exam.ask(exam.learner, path)
        if bio not in answer.text:
            raise StaleAnswer(f"{path}: {excerpt(answer)}", f"the new bio {bio!r}")
    return Evidence("the change is seen", "every change")


@mechanism(points=2)
def encodes_in_rust(exam: Exam) -> Evidence:
    """No answer goes through jsonable_encoder, and a page of 500 takes no more CPU than it must."""
    calls = exam.encoder_calls(exam.learner, ENCODED)
    observed, wanted = f"{calls:,.0f} calls a request", "none"
    if calls > 0.01:
        raise EncodesCallByCall(observed, wanted, numbers={"encoder_calls": calls})
    times, numbers = _cpu_times(exam)
    observed = f"no call; {times.times} the reference's CPU"
    wanted = f"none; less than {_MOST_CPU:g} times"
    dear = times.above(_MOST_CPU)
    if dear is None:
        raise CannotTell(observed, wanted, numbers=numbers)
    if dear:
        raise CostsTooMuch(observed, wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


@mechanism(points=1)
def fetches_what_it_shows(exam: Exam) -> Evidence:
    """List and member cost PostgreSQL no more when the e-mail addresses are 100 kB long."""
    both = (_FIRST_PAGE, _FIRST_MEMBERS)
    before = [_buffers(exam, request) for request in both]
    exam.learner.workspace.execute(_LONG_ADDRESSES)
    page, one = (_buffers(exam, now) - then for now, then in zip(both, before, strict=True))
    observed = f"{max(page, 0):,.0f} buffers more for 20 members, {max(one, 0):,.0f} for one"
    wanted = f"{_MOST_MORE_BUFFERS} and {_MOST_MORE_FOR_ONE}, or fewer"
    numbers = {"more_buffers": page, "more_buffers_for_one": one}
    if page > _MOST_MORE_BUFFERS or one > _MOST_MORE_FOR_ONE:
        raise FetchesWhatNobodySees(observed, wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least 0.3 of the reference's gain, for pages of 500 members, 2 requests at a time."""
    # Columns by SQLAlchemy's ORM, whose rows cost more, win a little over half of it.
    return exam.speed(LONG_PAGES, concurrency=2, same=same_public, bar=0.3)


@hygiene(points=1)
def is_documented(exam: Exam) -> Evidence:
    """OpenAPI says what fields a member has, in the list and alone."""
    (answer,) = exam.ask(exam.learner, "/openapi.json")
    wanted = ", ".join(PUBLIC)
    try:
        document = answer.json()
    except ValueError:
        raise NotDocumented(excerpt(answer), wanted) from None
    for path in ("/members", "/members/{"):
        fields = documented(document, path)
        if fields != set(PUBLIC):
            known = ", ".join(sorted(fields)) if fields else "nothing known"
            raise NotDocumented(
                f"{'a member alone' if '{' in path else 'the list'}: {known}", wanted
            )
    return Evidence("both", wanted)


def _cpu_times(exam: Exam) -> tuple[Interval, dict[str, Number]]:
    """How many times the reference's CPU a long page takes: in turns, until that is clear."""
    mine, theirs, interval = [], [], Interval(math.nan, 0, math.inf)
    for number in range(_MOST_CPU_ROUNDS):
        if number >= _FEWEST_CPU_ROUNDS and interval.above(_MOST_CPU) is not None:
            break
        mine.append(_cpu_us_of(exam, exam.learner))
        with exam.learner_frozen():
            theirs.append(_cpu_us_of(exam, exam.reference))
        if number:
            interval = speedup_interval(np.log(mine) - np.log(theirs))
    medians = {"cpu_us": float(np.median(mine)), "reference_cpu_us": float(np.median(theirs))}
    return interval, {**medians, **{f"times_{k}": v for k, v in interval.to_dict().items()}}


def _cpu_us_of(exam: Exam, candidate: Candidate) -> float:
    counts = exam.count(candidate, LONG_PAGES, requests=_CPU_REQUESTS, concurrency=2)
    return known(counts.get("CPU"), "CPU time")


def _buffers(exam: Exam, traffic: Request) -> float:
    return exam.count(exam.learner, traffic, requests=20, concurrency=2)["buffers"]
