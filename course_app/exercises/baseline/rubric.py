"""How stopwatches are judged: against the truth, which is known from outside."""

import re
from collections.abc import Mapping
from typing import Any

from course_app.apps.hard_to_time import LINES
from course_app.grading import Evidence, Exam, Failure, contract, hygiene, mechanism, speed
from course_app.grading.failures import DifferentAnswer
from course_app.grading.overlap import Timed
from course_app.load import Response, choice, get, mix, uniform
from course_app.measure.answers import excerpt
from course_app.system.waiting import wait_until

TRAFFIC = mix(
    get("/hello", weight=3),
    get("/naps/{ms}", ms=uniform(0, 5)),
    get("/streams/{ms}", ms=uniform(0, 3)),
    get("/nowhere", expect_status=404),
    get("/naps/{word}", word=choice(["many", "-1", "1001"]), expect_status=422),
    get("/error", expect_status=500),
)
HELLO = get("/hello")
ERRORS = (
    get("/nowhere", expect_status=404),
    get("/naps/many", expect_status=422),
    get("/error", expect_status=500),
)

#: How far a value may be from the truth.
_TOLERANCE = 0.2
_DURATION = re.compile(r";\s*dur\s*=\s*\"?(-?[0-9.]+(?:e-?[0-9]+)?)", re.IGNORECASE)


class NoHeader(Failure):
    """There is no Server-Timing header with a duration."""

    hint = (
        "Add it to the message `http.response.start`, whose `headers` are a list of pairs of "
        "bytes. The value has the form `app;dur=12.3`."
    )


class NoHeaderOnErrors(Failure):
    """Some answers have no Server-Timing header: errors are answers, too."""

    hint = (
        "Who sends the 500 for an exception that nobody caught? `add_middleware` puts yours "
        "inside of that; a function around the whole app is outside of it."
    )


class WrongUnit(Failure):
    """The duration is in seconds."""

    hint = "The standard says that `dur` is in milliseconds."


class WrongTime(Failure):
    """The duration is not the time that passed."""

    hint = (
        "From when the app is called until its `http.response.start`, read from a clock: compare "
        "`/naps/50` with its header."
    )


class MixesUp(Failure):
    """Alone a request is timed rightly, beside others it is not."""

    hint = "Where is the start kept? What is kept on `self` or in the module belongs to everybody."


class HoldsBack(Failure):
    """A stream arrives all at once, when it is over."""

    hint = (
        "The header leaves before the first line, so it can only hold the time until then. "
        "Pass each message on at once; the whole time goes to `app.state.timings`."
    )


class NotNoted(Failure):
    """The whole time of a request is not in the timings, or not the right one."""

    hint = (
        "When does the inner app return, for a stream and after an exception? `try ... finally` "
        "sees both. A note has `path`, `status` and `ms`."
    )


class ExtraTasks(Failure):
    """Each request costs another asyncio task."""

    hint = (
        "`BaseHTTPMiddleware` and `@app.middleware` run the rest of the app in a task of its own. "
        "A pure ASGI middleware only calls a function."
    )


class WallClock(Failure):
    """The stopwatch runs on the wall clock: somebody set it, and the duration was wrong."""

    hint = "Which of Python's clocks cannot be set? `time.get_clock_info` knows."


class SwallowsErrors(Failure):
    """An exception of a handler does not reach the server's log any more."""

    hint = (
        "Whoever watches exceptions lets them pass: `finally`, or `raise` at the end of `except`."
    )


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Every answer is as before: data, streams, 404, 422 and 500."""
    return exam.same_answers(TRAFFIC)


@contract(points=2)
def header_everywhere(exam: Exam) -> Evidence:
    """Each of them has a header Server-Timing with a duration."""
    wanted = "Server-Timing: app;dur=..."
    for request in (HELLO, get("/streams/1"), *ERRORS):
        (answer,) = exam.ask(exam.learner, request)
        if _duration_ms(answer) is None:
            failure = NoHeaderOnErrors if request in ERRORS else NoHeader
            got = answer.header("server-timing") or "none"
            raise failure(f"{request.path}, status {answer.status}: {got}", wanted)
    return Evidence("on 200, 404, 422, 500 and a stream", wanted)


@contract(points=2)
def true_values(exam: Exam) -> Evidence:
    """The duration is within 20 % of the truth, alone and among others, in milliseconds."""
    lengths = [exam.random.randint(30, 80) for _ in range(3)]
    for request in (*(get(f"/naps/{ms}") for ms in lengths), get("/nap")):
        _judge(exam.overlap(exam.learner, [request])[0], WrongTime)
    # The first one lasts until the others, which begin later, are over.
    crowd = [get("/naps/200"), *(get(f"/naps/{ms}") for ms in (20, 30, 40, 20, 30))]
    for timed in exam.overlap(exam.learner, crowd, gap_seconds=0.025):
        _judge(timed, MixesUp)
    return Evidence(f"{len(lengths) + 1 + len(crowd)} durations are true", "20 % at most")


@contract(points=1)
def streams(exam: Exam) -> Evidence:
    """A stream still flows, and the timings say how long it took as a whole; errors are noted."""
    path = f"/streams/{exam.random.randint(35, 60)}"
    tries = [exam.overlap(exam.learner, [get(path)])[0] for _ in range(3)]
    # Three tries, because a busy machine may hold us back as well.
    first = min(timed.first_byte_seconds / timed.seconds for timed in tries)
    if first > 0.5:
        raise HoldsBack(f"the first byte came after {first:.0%} of the time", "at once")
    exam.ask(exam.learner, ERRORS[-1])
    true_ms = LINES * int(path.rpartition("/")[2])
    _require_note(exam, path, 200, true_ms, max(timed.ms for timed in tries))
    _require_note(exam, "/error", 500, 0.0, float("inf"))
    return Evidence("streams flow, and are noted as a whole", "the same")


@mechanism(points=1)
def no_extra_task(exam: Exam) -> Evidence:
    """No request needs another asyncio task."""
    mine, theirs = (
        min(_field(answer, "tasks") for answer in exam.ask(candidate, "/tasks", 5))
        for candidate in (exam.learner, exam.reference)
    )
    observed, wanted = f"{mine - theirs:g} more than without a stopwatch", "none"
    if mine > theirs:
        raise ExtraTasks(observed, wanted, numbers={"extra_tasks": mine - theirs})
    return Evidence("none", wanted)


@mechanism(points=1)
def monotonic(exam: Exam) -> Evidence:
    """The duration is right although the wall clock is set back in the meantime."""
    (answer,) = exam.ask(exam.learner, "/clock")
    duration_ms = _duration_ms(answer)
    if duration_ms is None or not 0 <= duration_ms < 30_000:
        raise WallClock(f"{duration_ms} ms", "a few milliseconds")
    return Evidence("not disturbed", "the same")


@speed(points=1)
def cheap(exam: Exam) -> Evidence:
    """At least half of what the reference saves of the guide's stopwatch, in CPU time."""
    return exam.speed(HELLO, concurrency=8, metric="cpu")


@hygiene(points=1)
def errors_reach_the_log(exam: Exam) -> Evidence:
    """What a handler raises still reaches the server's log."""
    exam.learner.restart()
    reason = f"bug-{exam.random.getrandbits(32):08x}"
    exam.ask(exam.learner, get(f"/error?reason={reason}", expect_status=500))
    if not wait_until(lambda: reason in exam.learner.log_tail(), 2):
        raise SwallowsErrors("nothing about it in the log", "the exception")
    return Evidence("it is there", "the exception")


def _duration_ms(answer: Response) -> float | None:
    found = _DURATION.search(answer.header("server-timing") or "")
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _judge(timed: Timed, failure: type[Failure]) -> None:
    """A server's time lies within its client's, so a busy machine moves both."""
    true_ms = _field(timed.response, "ms")
    duration_ms = _duration_ms(timed.response) or 0.0
    line = timed.response.request_text.partition(" HTTP")[0]
    observed = f"{line} says {duration_ms:g} ms"
    wanted = f"{true_ms:g} ms, and not more than the {timed.ms:.1f} ms that its client waited"
    if _is_true(duration_ms * 1e3, true_ms, timed.ms):
        raise WrongUnit(observed, wanted)
    if not _is_true(duration_ms, true_ms, timed.ms):
        raise failure(observed, wanted)


def _is_true(duration_ms: float, true_ms: float, waited_ms: float) -> bool:
    most_ms = max((1 + _TOLERANCE) * true_ms, waited_ms)
    return (1 - _TOLERANCE) * true_ms <= duration_ms <= most_ms


def _require_note(exam: Exam, path: str, status: int, true_ms: float, waited_ms: float) -> None:
    (answer,) = exam.ask(exam.learner, "/timings")
    notes = _json(answer)
    notes = notes if isinstance(notes, list) else []
    mine = [note for note in notes if isinstance(note, Mapping) and note.get("path") == path]
    observed = f"{mine[-1] if mine else 'nothing'} about {path}"
    wanted = f"status {status} and " + (f"about {true_ms:g} ms" if true_ms else "its time")
    if not mine or mine[-1].get("status") != status:
        raise NotNoted(observed, wanted)
    if not _is_true(_number(mine[-1].get("ms")), true_ms, waited_ms):
        raise NotNoted(observed, wanted)


def _field(answer: Response, name: str) -> float:
    """A number of the answer's JSON."""
    data = _json(answer)
    if not isinstance(data, Mapping) or name not in data:
        raise DifferentAnswer(excerpt(answer), f"200 with {name!r}")
    return _number(data[name])


def _json(answer: Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else -1.0
