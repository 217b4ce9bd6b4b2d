"""How answers are judged: who is refused and how, whatever the timing and the number of workers."""

# By name: an app in the same process may put another clock in the module's place.
from time import perf_counter, sleep

from course_app.exercises.rate_limiting.asking import (
    REFUSED,
    alternate,
    ask_one,
    new_client,
    open_valkey,
    requests_of,
    send,
)
from course_app.exercises.rate_limiting.baseline import LIMIT, WINDOW_SECONDS
from course_app.exercises.rate_limiting.ledger import (
    Decision,
    decisions,
    most_passed,
    most_sent,
    wait_bounds,
    wrongly_refused,
)
from course_app.grading import (
    CannotTell,
    Evidence,
    Exam,
    Failure,
    contract,
    hygiene,
    mechanism,
)
from course_app.load import Response, Workload, get, sequence
from course_app.load import text as filled

#: Fewer requests than these within a window show nothing: three limits of their own pass them all.
_ENOUGH = 2 * LIMIT
_SHORT_THEN_LONG = (0.4, 1.2)
_KNOWN = (200, 404, REFUSED)
_WORKERS = 3
#: A sliding window may be counted in two halves; no limiter has to remember longer than that.
_LONGEST_EXPIRY_SECONDS = 2 * WINDOW_SECONDS + 1
#: Counted over a hundred requests or more; a connection may be opened in between.
_A_FEW = 0.05
_NO_KEY = get("/prices", expect_status=401)
_NO_MORE = f"at most {LIMIT} within any {WINDOW_SECONDS:g} s"


class NotA429(Failure):
    """Who comes too often gets another status than 429."""

    hint = (
        "Look at the stack of layers in the lesson: which of them makes an answer of an "
        "HTTPException, and does your code run inside of it or outside?"
    )


class NotA401(Failure):
    """Who sends no API key gets another status than 401."""

    hint = (
        "Who sends no X-API-Key is nobody whose requests could be counted: refuse, and ask Valkey "
        "nothing. A parameter that has to be there makes it 422, what a middleware raises 500."
    )


class NoRetryAfter(Failure):
    """A refusal does not say when to come back."""

    hint = (
        "429 comes with a header: Retry-After, a whole number of seconds. HTTPException has a "
        "parameter for headers."
    )


class FalseRetryAfter(Failure):
    """Retry-After is not the time after which a client is let through again."""

    hint = (
        "A client waits for its oldest request that still counts to leave the window. What is "
        "left of that time, rounded up to whole seconds?"
    )


class PassesTooMany(Failure):
    """More requests of one client pass than it may send."""

    hint = (
        "Both paths together have one limit. What is the key under which requests are counted, and "
        "does each of them leave an entry of its own there? Two with the same name are one."
    )


class RefusesTooMany(Failure):
    """Requests are refused although the client has not used up its limit."""

    hint = (
        "Only requests that were let through count. A client that knocks while it has to wait "
        "must not wait for longer, and after a window it may send all of its requests again."
    )


class OthersRefused(Failure):
    """One client's requests use up the limit of another."""

    hint = "Each API key has a limit of its own: it has to be a part of what you count under."


class CrowdSlipsThrough(Failure):
    """When many requests come at once, too many of them pass."""

    hint = (
        "Between asking how many there are and adding one, other requests are served. Asking and "
        "adding have to be one step: Valkey runs a script as a whole. If it is a script, look at "
        "what it adds: entries of the same name are one."
    )


class CountsPerWorker(Failure):
    """With three workers more requests pass than with one."""

    hint = "Each worker is a process with its own memory. Where is there one for all of them?"


class WindowsMeet(Failure):
    """Where one window ends and the next begins, too many requests pass."""

    hint = (
        "A counter that starts again from zero forgets what came a moment before. Keep when each "
        "of the last requests passed; the one that is as far back as the limit decides."
    )


class StateInProcess(Failure):
    """Something about clients is remembered in the process, not in Valkey."""

    hint = (
        "Restart a worker, or delete a client's keys in Valkey: what your app decides next must "
        "follow from what is in Valkey alone."
    )


class SeveralRoundTrips(Failure):
    """A request asks Valkey more than once."""

    hint = (
        "Everything that has to be known fits into one answer of one script: 0 for go on, or else "
        "how long to wait."
    )


class ConnectsPerRequest(Failure):
    """Requests open connections to Valkey."""

    hint = "A client of redis-py has a pool of connections. How long does yours live?"


class KeysStay(Failure):
    """Keys of clients who do not come back stay in Valkey."""

    hint = "Whenever a key is written it needs an expiry, about as long as the window."


@contract(points=2)
def refuses(exam: Exam) -> Evidence:
    """Who comes too often is answered 429 with Retry-After; everybody else as before."""
    wanted = f"{LIMIT} answers, then 429 with Retry-After"
    exam.ask(exam.learner, _NO_KEY)  # starts the app, and counts for nobody
    began = perf_counter()
    answers = exam.ask(exam.learner, requests_of(new_client(exam)), LIMIT + 3)
    in_time = perf_counter() - began < WINDOW_SECONDS
    first, rest = answers[:LIMIT], answers[LIMIT:]
    if any(answer.status not in _KNOWN for answer in first):
        exam.same_answers(requests_of(new_client(exam)), LIMIT // 2)
    for answer in rest:
        if answer.status not in _KNOWN:
            raise NotA429(f"status {answer.status} for request {LIMIT + 1}", wanted)
    _others_pass(exam)
    if in_time:
        _require_refusals(first, rest, wanted)
    exam.same_answers(requests_of(new_client(exam)), LIMIT // 2)
    (answer,) = exam.ask(exam.learner, _NO_KEY)
    if answer.status not in _NO_KEY.expect_status:
        raise NotA401(f"{answer.status} {answer.text[:80]}", "401 for who sends no key")
    exam.workers(exam.learner, _WORKERS)  # they get ready in the meantime
    if not in_time:
        raise CannotTell(f"{len(answers)} requests took longer than the window", wanted)
    return Evidence(f"{LIMIT} answers, then 429", wanted)


@contract(points=1)
def tells_when(exam: Exam) -> Evidence:
    """Retry-After is the time that is left, in whole seconds."""
    at_once, in_two, told = new_client(exam), new_client(exam), []
    made = {
        each: decisions([send(exam, exam.learner, each, LIMIT // 2, 1)])
        for each in (at_once, in_two)
    }
    for client in (at_once, in_two):
        # The second client's last requests leave the window long after its first ones.
        made[client] += decisions([send(exam, exam.learner, client, LIMIT - LIMIT // 2, 1)])
        answer, decision = ask_one(exam, client)
        bounds = wait_bounds(made[client], decision, LIMIT, WINDOW_SECONDS)
        if answer.status == REFUSED and bounds is not None:
            told.append(_judged_wait(answer, *bounds))
        if client == at_once:
            sleep(0.6 * WINDOW_SECONDS)
    wanted = "at least the seconds that are left, and less than one more"
    if len(told) < 2:
        raise CannotTell("the window was over before the client was refused", wanted)
    return Evidence("; ".join(told), wanted)


@contract(points=1)
def crowd(exam: Exam) -> Evidence:
    """Of 120 requests that one client sends 40 at a time, exactly 20 pass."""
    made = decisions([send(exam, exam.learner, new_client(exam), 120, 40)])
    return _judged(made, CrowdSlipsThrough)


@contract(points=2)
def three_workers(exam: Exam) -> Evidence:
    """Three workers together let exactly 20 pass."""
    client = new_client(exam)
    workers = exam.workers(exam.learner, _WORKERS)
    made: list[Decision] = []
    for seconds in _SHORT_THEN_LONG:
        if most_sent(made, WINDOW_SECONDS) < _ENOUGH:
            made += decisions(alternate(exam, workers, client, seconds))
    return _judged(made, CountsPerWorker)


@contract(points=1)
def slides(exam: Exam) -> Evidence:
    """Never do more than 20 pass within any 2 seconds, and never fewer if more come."""
    client = new_client(exam)
    with exam.target(exam.learner, requests_of(client), 2, exam.new_seed()) as target:
        results = [exam.generator.closed(target, requests=LIMIT // 2)]
        sleep(0.6 * WINDOW_SECONDS)
        results.append(exam.generator.closed(target, requests=LIMIT // 2))
        results.append(exam.generator.open(target, rate=150, seconds=1.2 * WINDOW_SECONDS))
    for result in results:
        exam.refuse_errors(exam.learner, result)
    return _judged(decisions(results), WindowsMeet)


@mechanism(points=1)
def state_in_valkey(exam: Exam) -> Evidence:
    """What is known of a client outlives a restart, and is gone when its keys are deleted."""
    client, wanted = new_client(exam), "refused after a restart, served once the keys are deleted"
    results = [send(exam, exam.learner, client, LIMIT + 1, 1)]
    exam.learner.restart()
    results.append(send(exam, exam.learner, client, 2, 1))
    if most_passed(decisions(results), WINDOW_SECONDS) > LIMIT:
        raise StateInProcess("served after a restart", wanted)
    with open_valkey(exam) as valkey:
        valkey.flushdb()
    if 200 not in send(exam, exam.learner, client, 2, 1, "/prices").status_counts():
        raise StateInProcess("refused after its keys were deleted", wanted)
    return Evidence("refused after a restart, served once the keys were deleted", wanted)


@mechanism(points=1)
def one_round_trip(exam: Exam) -> Evidence:
    """A request asks Valkey once, whether it is served or refused."""
    wanted = "1 round trip to Valkey, no connection opened"
    client = new_client(exam)
    kinds = {
        "served": requests_of(filled(client + "-{n}", n=sequence())),
        "refused": requests_of(client),
    }
    send(exam, exam.learner, client, LIMIT, 1)
    trips = {name: _round_trips(exam, traffic, name, wanted) for name, traffic in kinds.items()}
    observed = ", ".join(f"{count:.2f} if {name}" for name, count in trips.items())
    numbers = {f"round_trips_{name}": count for name, count in trips.items()}
    if max(trips.values()) > 1 + _A_FEW:
        raise SeveralRoundTrips(f"{observed} (round trips)", wanted, numbers=numbers)
    if min(trips.values()) < 1 - _A_FEW:
        raise StateInProcess(f"{observed} (round trips)", wanted, numbers=numbers)
    return Evidence(f"{observed} (round trips)", wanted, numbers)


@hygiene(points=1)
def keys_expire(exam: Exam) -> Evidence:
    """Who does not come back is forgotten: every key has an expiry."""
    wanted = f"an expiry of at most {_LONGEST_EXPIRY_SECONDS:g} s on every key"
    client = new_client(exam)
    with open_valkey(exam) as valkey:
        valkey.flushdb()
        send(exam, exam.learner, filled(client + "-{n}", n=sequence()), LIMIT, 1)
        send(exam, exam.learner, client, LIMIT + 5, 1)
        left_ms = [int(valkey.pttl(key)) for key in valkey.scan_iter("*")]
    for_ever = sum(each == -1 for each in left_ms)
    if for_ever:
        raise KeysStay(f"{for_ever} of {len(left_ms)} keys without an expiry", wanted)
    longest = max(left_ms, default=0) / 1e3
    if longest > _LONGEST_EXPIRY_SECONDS:
        raise KeysStay(f"a key stays for another {longest:.0f} s", wanted)
    return Evidence(f"{longest:.1f} s at most", wanted)


def _others_pass(exam: Exam) -> None:
    (answer,) = exam.ask(exam.learner, requests_of(new_client(exam)))
    if answer.status == REFUSED:
        raise OthersRefused("a client's first request was refused", "a limit for each client")


def _require_refusals(first: list[Response], rest: list[Response], wanted: str) -> None:
    if early := [i for i, answer in enumerate(first) if answer.status == REFUSED]:
        raise RefusesTooMany(f"request {early[0] + 1} was refused", wanted)
    if served := sum(answer.status != REFUSED for answer in rest):
        raise PassesTooMany(f"{LIMIT + served} of {LIMIT + len(rest)} requests passed", wanted)
    for answer in rest:
        if not (answer.header("retry-after") or "").isdecimal():
            raise NoRetryAfter(f"Retry-After: {answer.header('retry-after')}", wanted)


def _judged_wait(answer: Response, least: float, most: float) -> str:
    told = answer.header("retry-after") or ""
    observed = f"Retry-After {told} with {max(least, 0):.2f} to {most:.2f} s left"
    if not told.isdecimal() or not least <= int(told) < most + 1:
        raise FalseRetryAfter(observed, "the time that is left, rounded up")
    return observed


def _judged(made: list[Decision], too_many: type[Failure]) -> Evidence:
    most = most_passed(made, WINDOW_SECONDS)
    numbers = {"most_in_a_window": most, "requests": len(made)}
    if most > LIMIT:
        raise too_many(f"{most} passed within {WINDOW_SECONDS:g} s", _NO_MORE, numbers=numbers)
    if refused := len(wrongly_refused(made, LIMIT, WINDOW_SECONDS)):
        observed = f"{refused} of {len(made)} requests were refused without need"
        raise RefusesTooMany(observed, f"{LIMIT} in each {WINDOW_SECONDS:g} s", numbers=numbers)
    if (sent := most_sent(made, WINDOW_SECONDS)) < _ENOUGH:
        observed = f"this machine sent only {sent} requests within {WINDOW_SECONDS:g} s"
        raise CannotTell(observed, _NO_MORE, numbers=numbers)
    return Evidence(f"{most} of {len(made)} passed", _NO_MORE, numbers)


def _round_trips(exam: Exam, traffic: Workload, name: str, wanted: str) -> float:
    counts = exam.count(exam.learner, traffic, requests=100, concurrency=2)
    opened = counts.get("Valkey connections opened") or 0.0
    if opened > _A_FEW:
        raise ConnectsPerRequest(f"{opened:.2f} connections a request, if {name}", wanted)
    return counts.get("Valkey round trips") or 0.0
