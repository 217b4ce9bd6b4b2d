"""How a load test, a finding and a repair are judged."""

import re

from course_app.apps.suspects import Plant, plant_of, sow
from course_app.exercises.finding_the_bottleneck.mixup import (
    LAST,
    SECONDS,
    USERS,
    Trial,
    put_on_trial,
)
from course_app.exercises.finding_the_bottleneck.pages import change_behind_its_back, compare_parts
from course_app.exercises.finding_the_bottleneck.reference import LOCUSTFILE
from course_app.grading import (
    CannotTell,
    CouldNotCheck,
    Evidence,
    Exam,
    Failure,
    contract,
    hygiene,
    mechanism,
    speed,
)
from course_app.load import get, mix, uniform
from course_app.load.swarm import LocustFailed

CAUSES = ("CPU", "SQL statements", "rows", "buffers")
_PAGES = ", ".join(f"/{page}" for page in LAST)
#: The users with many posts, the tags and all posts.
_TRAFFIC = {
    "posts": get("/posts/{n}", n=uniform(1, LAST["posts"])),
    "users": get("/users/{n}", n=uniform(1, 100)),
    "tags": get("/tags/{n}", n=uniform(1, LAST["tags"])),
}
READS = mix(
    *_TRAFFIC.values(),
    get("/posts/{n}", n=uniform(200_000, 900_000), expect_status=404),
    get("/users/{n}", n=uniform(200_000, 900_000), expect_status=404),
    get("/tags/x{n}", n=uniform(1, 9), expect_status=422),
)
#: Fewer wrong answers than this on a page say nothing about a locustfile.
_ENOUGH = 5
#: Users who wait for nothing but answers send some thirty times as many, on two cores.
_FEWEST_REQUESTS = 2 * USERS * SECONDS
_MOST_NAMES = 9


class NoSeed(Failure):
    """The check does not know your seed."""

    hint = "Hand it in: check(..., create_app, seed=seed, locustfile=locustfile, finding=finding)."


class NoFinding(Failure):
    """The finding is not a finding yet."""

    hint = (
        "A dictionary with the keys endpoint, stage and cause, each with a text. The endpoint is "
        'one of the three paths, such as "/posts/[id]".'
    )


class WrongEndpoint(Failure):
    """The bottleneck is at another endpoint."""

    hint = "Look at Locust's medians once more, with few users who wait between their requests."


class WrongStage(Failure):
    """The endpoint is right, the stage is not."""

    hint = (
        "Which of its three stages takes the time? Put a stopwatch around each; or see in a trace "
        "where the time goes, and in lab.profile which function runs."
    )


class WrongCause(Failure):
    """The stage is right; what it does too much of is something else."""

    hint = (
        "lab.measure shows statements, rows, buffers and CPU per request. Compare the slow "
        "endpoint with the other two: which count stands out?"
    )


class NoLocustfile(Failure):
    """There is no locustfile that runs."""

    hint = "Try it with lab.load_test(locustfile, app): what Locust says is shown there in full."


class TooFewRequests(Failure):
    """The users of the load test wait too long between their requests."""

    hint = (
        "The check leaves their wait_time out, but not what else a task waits for, such as "
        "time.sleep. A user has to send several requests a second."
    )


class MissesEndpoints(Failure):
    """The load test leaves an endpoint out."""

    hint = "What nobody asks for is never slow. One task for each endpoint, of similar weight."


class FalseAlarms(Failure):
    """Right answers are counted as failures."""

    hint = "Which ids do the users ask for, and do they exist? What does the task compare?"


class ChecksNothing(Failure):
    """Wrong answers pass as good ones."""

    hint = (
        "Locust looks at the status only. Here some answers have status 200 and are about another "
        "id: with catch_response=True compare the id in the answer with the one asked for."
    )


class TooManyNames(Failure):
    """Locust's table has a row for each id."""

    hint = "Give all requests of one endpoint the same name: self.client.get(path, name=...)."


@contract(points=2)
def same_answers(exam: Exam) -> Evidence:
    """Every page is as before, and shows what is in the database now."""
    if "seed" in exam.values:
        sow(exam.learner.workspace.owner_dsn or "", str(exam.values["seed"]))
    compare_parts(exam)
    evidence = exam.same_answers(READS, 60)
    changes = change_behind_its_back(exam)
    return Evidence(f"{evidence.observed}, {changes} of {changes} changes seen", evidence.wanted)


@mechanism(points=3)
def names_the_bottleneck(exam: Exam) -> Evidence:
    """The finding names the endpoint, the stage and the cause that the seed has planted."""
    plant = _plant(exam)
    found = exam.values.get("finding")
    if not isinstance(found, dict) or not {"endpoint", "stage", "cause"} <= set(found):
        raise NoFinding(f"{found}", '{"endpoint": ..., "stage": ..., "cause": ...}')
    observed = " / ".join(str(found[key]) for key in ("endpoint", "stage", "cause"))
    wanted = f"what the seed {exam.values['seed']} has planted"
    named = _pages_in(str(found["endpoint"]))
    if len(named) != 1:
        raise NoFinding(observed, 'one endpoint, such as "/posts/[id]"')
    if named != [plant.page]:
        raise WrongEndpoint(observed, wanted)
    if found["stage"] != plant.stage:
        raise WrongStage(observed, wanted, credit=1 / 3)
    if found["cause"] not in plant.causes:
        raise WrongCause(observed, f"one of {', '.join(CAUSES)}", credit=2 / 3)
    return Evidence(observed, wanted)


@mechanism(points=2)
def load_tests(exam: Exam) -> Evidence:
    """The locustfile asks every endpoint, and counts exactly the wrong answers as failures."""
    trial = exam.once(_trial)
    requests = [trial.served.get(page, 0) for page in LAST]
    told = ", ".join(f"/{page} {count}" for page, count in zip(LAST, requests, strict=True))
    if sum(trial.served.values()) < _FEWEST_REQUESTS:
        raise TooFewRequests(f"requests: {told}", f"{_FEWEST_REQUESTS:g} or more in {SECONDS:g} s")
    if 10 * min(requests) < max(requests) or not any(requests):
        raise MissesEndpoints(f"requests: {told}", f"similar numbers to {_PAGES}")
    for page in LAST:
        _compare_failures(trial, page)
    if min(trial.mixed.get(page, 0) for page in LAST) < _ENOUGH:
        why = "users wait too long between two, or others keep the machine busy"
        raise CannotTell(f"requests: {told}", f"more of them; {why}")
    mixed = sum(trial.mixed.values())
    return Evidence(f"{mixed} wrong answers found, no false alarm", "all of them, and no other")


def _compare_failures(trial: Trial, page: str) -> None:
    mixed, reported = trial.mixed.get(page, 0), trial.reported(page)
    observed = f"/{page}: {reported} failures in {trial.served[page]} requests"
    wanted = f"{mixed}, the wrong answers that were given"
    if reported > mixed:
        raise FalseAlarms(observed, wanted)
    # A request in flight at the end is not counted by Locust.
    if reported < max(mixed - USERS, mixed / 2):
        raise ChecksNothing(observed, wanted, credit=1 / 2)


@speed(points=2)
def faster(exam: Exam) -> Evidence:
    """At least half of the reference's gain at the slow endpoint, 4 requests at a time."""
    plant = _plant(exam)
    sow(exam.baseline.workspace.owner_dsn or "", exam.values["seed"])
    return exam.speed(_TRAFFIC[plant.page], concurrency=4)


@hygiene(points=1)
def few_names(exam: Exam) -> Evidence:
    """Locust's table has one row for each endpoint, not for each id."""
    names = [endpoint.name for endpoint in exam.once(_trial).report.endpoints]
    wanted = f"{_MOST_NAMES} rows or fewer"
    if not names:
        raise TooFewRequests("no row, because no request was sent", wanted)
    observed = f"{len(names)} rows ({names[0]} ...)"
    if len(names) > _MOST_NAMES:
        raise TooManyNames(observed, wanted)
    return Evidence(", ".join(names), wanted)


def _pages_in(endpoint: str) -> list[str]:
    """The pages named in "/posts/[id]", "GET /posts/{post_id}" and the like."""
    words = re.findall("[a-z]+", endpoint)
    return [page for page in LAST if page in words]


def _plant(exam: Exam) -> Plant:
    seed = exam.values.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int | str):
        raise NoSeed(f"seed: {seed}", "a number")
    return plant_of(seed)


def _trial(exam: Exam) -> Trial:
    """One run, which serves all criteria."""
    locustfile = exam.values.get("locustfile")
    if not isinstance(locustfile, str) or not locustfile.strip():
        raise NoLocustfile("none", "the text of a locustfile")
    dsn = exam.reference.workspace.postgres_dsn or ""
    exam.progress("Locust runs your locustfile")
    try:
        trial = put_on_trial(locustfile, dsn, exam.new_seed())
    except LocustFailed as error:
        exam.once(_require_locust)
        raise NoLocustfile(str(error)[-600:], "a locustfile that runs") from error
    if trial.report.exceptions and not trial.report.requests:
        raise NoLocustfile(trial.report.exceptions[0], "tasks that send requests")
    return trial


def _require_locust(exam: Exam) -> bool:
    """Our own locustfile runs here.

    Raises:
        CouldNotCheck: it does not, because Locust is missing or the machine too busy.
    """
    exam.progress("yours does not run: Locust runs ours")
    try:
        put_on_trial(LOCUSTFILE, exam.reference.workspace.postgres_dsn or "", exam.new_seed())
    except LocustFailed as error:
        raise CouldNotCheck(f"Locust does not run here: {str(error)[-600:]}") from error
    return True
