"""How the check asks for prices: as new clients, in crowds, of workers in turns."""

from contextlib import ExitStack

# By name: an app in the same process may put another clock in the module's place.
from time import perf_counter

import redis

from course_app.exercises.rate_limiting.baseline import PRICES
from course_app.exercises.rate_limiting.ledger import Decision
from course_app.grading import Candidate, Exam
from course_app.load import Distribution, LoadResult, Response, Workload, choice, get, mix

REFUSED = 429


def new_client(exam: Exam) -> str:
    """An API key that has not been used yet."""
    return f"key-{exam.random.getrandbits(48):012x}"


def requests_of(client: str | Distribution, path: str = "") -> Workload:
    """What a client asks for; it may be refused each time."""
    headers = {"X-API-Key": client}
    either = (200, REFUSED)
    if path:
        return mix(get(path, headers=headers, expect_status=either))
    return mix(
        get("/prices", headers=headers, expect_status=either),
        get("/prices/{name}", name=choice(list(PRICES)), headers=headers, expect_status=either),
        get("/prices/{name}", name="GOLD", headers=headers, expect_status=(404, REFUSED)),
    )


def send(
    exam: Exam,
    candidate: Candidate,
    client: str | Distribution,
    requests: int,
    at_once: int,
    path: str = "",
) -> LoadResult:
    return exam.load(candidate, requests_of(client, path), requests=requests, concurrency=at_once)


def alternate(
    exam: Exam, workers: list[Candidate], client: str, seconds: float
) -> list[LoadResult]:
    """Requests of one client, dealt out to workers in turns."""
    with ExitStack() as stack:
        targets = [
            stack.enter_context(exam.target(worker, requests_of(client), 1, exam.new_seed()))
            for worker in workers
        ]
        results = exam.generator.alternate(targets, seconds=seconds)
    for worker, result in zip(workers, results, strict=True):
        exam.refuse_errors(worker, result)
    return results


def ask_one(exam: Exam, client: str) -> tuple[Response, Decision]:
    start = perf_counter()
    (answer,) = exam.ask(exam.learner, requests_of(client))
    return answer, Decision(start, perf_counter(), answer.status != REFUSED)


def open_valkey(exam: Exam) -> redis.Redis:
    return redis.Redis.from_url(exam.learner.workspace.owner_valkey_url or "")
