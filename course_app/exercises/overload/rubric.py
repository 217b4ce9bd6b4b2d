"""How answers are judged: what becomes of clients when more of them come than can be served."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from statistics import median

# By name: an app in the same process may put another clock in the module's place.
from time import sleep

import numpy as np

from course_app.exercises.overload.loads import (
    AFTER,
    BASE,
    BEFORE,
    BURST,
    COUNTED,
    CRUSH,
    DURING,
    RECOVERY,
    SETTLING,
    Loads,
    Overload,
)
from course_app.exercises.overload.outcomes import (
    GOOD_MS,
    HEALTH_MS,
    REFUSED,
    Became,
    Load,
)
from course_app.grading import (
    Candidate,
    CannotTell,
    Evidence,
    Exam,
    Failure,
    contract,
    hygiene,
    mechanism,
)
from course_app.grading.failures import WrongUnderLoad
from course_app.load import Response, get, mix, uniform
from course_app.measure.answers import same_answer
from course_app.measure.statistics import Interval, mean_interval

#: Of the capacity: what has to be answered in time under overload.
LEAST_GOODPUT = 0.8
#: Whoever comes alone, at random, still finds a short line now and then.
_MOST_REFUSED_IN_CALM = 0.02
_WELL, _CLEARLY_ILL = 0.9, 0.5
_MOST_REFUSED_BEFORE = 0.1
#: Of all attempts in a burst; fewer are by chance.
_FEWEST_REFUSED = 0.1
_MOST_LEFT = 0.05
#: A machine that got faster meanwhile has seen no burst, and there was nothing to recover from.
_LEAST_BURST = 2.0
_IDLE_SECONDS, _MOST_IDLE_CPU = 0.3, 0.05

_ALONE, _MOST_REFUSED_ALONE = 22, 4
_TRIES = 3
_CALM_TRIES = 5  # a neighbour of a moment makes a line, and a good answer refuses then
_CONTROLS = 3
# Ratios of one round have an sd of some 0.05 on a calm machine and 0.1 beside two busy loops.
_FEWEST_ROUNDS, _MOST_ROUNDS, _CONFIDENCE = 4, 14, 0.95
_FEWEST_REFUSALS = 3
_CUT_OFF = 0.01
_NOTHING = 0.01  # no logarithm of nothing

_ANSWERS = mix(
    get("/vouchers/{number}", number=uniform(1, 10**9), weight=6),
    get("/vouchers/{number}", number=uniform(-9, 0), expect_status=404, weight=2),
    get("/vouchers/{number}", number="first", expect_status=422),
    get("/health", weight=2),
)


class NeverRefuses(Failure):
    """Nobody is turned away before giving up, so everybody waits too long."""

    hint = (
        "What does your app look at, and can it ever see a queue there? A handler that computes "
        "is never interrupted: until it is done no other request begins, so that one request is "
        "in flight at any time. The queue is in front of it. And whoever refuses only after a "
        "quarter of a second finds nobody there."
    )


class RefusesInCalm(Failure):
    """Clients are turned away though there is room for all of them."""

    hint = (
        "Connections stay open, all clients may share an address, and strangers come in small "
        "heaps: none of that is overload. The time that a request waits for its turn is."
    )


class StaysShut(Failure):
    """Clients are still turned away when the overload is long over."""

    hint = (
        "Whatever your app counts up has to come down again on every way out, also where a "
        "request is refused or fails; and what it remembers of bad times has to be forgotten "
        "in far less than a second."
    )


class DoesNotRecover(Failure):
    """Answers are still late when the overload is long over."""

    hint = (
        "Clients who got no answer in time come again, and what they have left behind is still "
        "served. Refuse as soon as somebody would have to wait, and say so at once: a long line "
        "serves only those who have gone."
    )


class NotA503(Failure):
    """Who is turned away gets another status than 503."""

    hint = (
        "429 says that this client has sent too much, 503 that the server has too much to do. "
        "Nobody here has done anything wrong."
    )


class NoRetryAfter(Failure):
    """A refusal does not say when to come back."""

    hint = "503 comes with a header: Retry-After, a whole number of seconds from one on."


class RefusesLate(Failure):
    """Who is turned away has to wait for that."""

    hint = (
        "A refusal that comes late is worth as little as a late answer, and holds the client and "
        "a connection for nothing. Decide when a request comes, not when its turn has come."
    )


class ServesTooLittle(Failure):
    """Under overload the app does far less than it could."""

    hint = (
        "There is work for all of the time: refuse no more than what does not fit. Begin to "
        "serve again at once when the wait is short enough, and spend nothing on whoever is "
        "refused."
    )


class ServesLate(Failure):
    """Under overload many answers come too late."""

    hint = (
        "Clients wait for 100 ms. How long does the last one wait whom you let in, with all "
        "those in front of it? Let time decide, not a number: other machines are slower."
    )


class HealthRefused(Failure):
    """/health is turned away, too."""

    hint = (
        "Whoever looks after the service takes an app that refuses this for a dead one, and "
        "restarts it in the middle of the rush. It costs nothing: let it pass."
    )


class HealthLate(Failure):
    """/health has to wait in line."""

    hint = (
        "It waits for as long as the loop is busy without a pause, in its own line or in one "
        "before it. How many requests does your app work on before the loop gets round to "
        "others?"
    )


class BusyWhenIdle(Failure):
    """The app uses CPU though nobody asks for anything."""

    hint = "Something looks again and again without a pause. Look when a request comes instead."


@dataclass(frozen=True)
class Look:
    """One look at one behaviour: what was seen, and whether that is all right.

    clearly: far from all right; seen twice, it needs no look at our own answer.
    steady: the machine was the same before and after.
    """

    evidence: Evidence
    failure: Failure | None = None
    clearly: bool = False
    steady: bool = True


@contract(points=1)
def same_answers(exam: Exam) -> Evidence:
    """Alone every request is answered as before, also for numbers that do not exist."""
    wanted = "the given app's answers"
    for _ in range(_TRIES):
        refused: list[Response] = []

        def same(mine: Response, theirs: Response, refused: list[Response] = refused) -> bool:
            # A machine that stood still for a moment looks like a line to a good answer, too.
            if mine.status == REFUSED and theirs.status != REFUSED:
                refused.append(mine)
                return True
            return same_answer(mine, theirs)

        exam.same_answers(_ANSWERS, _ALONE, same=same)
        if len(refused) <= _MOST_REFUSED_ALONE:
            return Evidence(f"{_ALONE - len(refused)} of {_ALONE} equal", wanted)
    raise RefusesInCalm(f"{len(refused)} of {_ALONE} refused, one after another", wanted)


@mechanism(points=2)
def recovers(exam: Exam) -> Evidence:
    """Two seconds after a burst of clients who try again, all is well again."""
    loads = exam.once(Loads)
    return _decided(exam, lambda candidate: _recovery(exam, loads.burst(candidate)))


@mechanism(points=1)
def refuses(exam: Exam) -> Evidence:
    """At three times the capacity, whoever gets no answer gets 503 with Retry-After, at once."""
    loads = exam.once(Loads)
    return _decided(exam, lambda candidate: _refusals(exam, *loads.crush(candidate)))


@mechanism(points=1)
def spares(exam: Exam) -> Evidence:
    """At 0.7 of the capacity nobody is turned away."""
    loads = exam.once(Loads)
    if not loads.refuses:
        raise NeverRefuses("nobody is refused, under no load", "nobody at 0.7, but many at 1.5")
    return _decided(exam, lambda candidate: _calm(exam, *loads.calm(candidate)), _CALM_TRIES)


@mechanism(points=3)
def goodput(exam: Exam) -> Evidence:
    """At 1.5 times the capacity, 80 % of it and more is answered within 100 ms."""
    wanted = f"{LEAST_GOODPUT:g} of the capacity or more"
    loads = exam.once(Loads)
    share = _goodput(exam, loads)
    observed, numbers = f"{share} of the capacity", share.to_dict()
    if share.above(LEAST_GOODPUT):
        return Evidence(observed, wanted, numbers)
    if share.above(LEAST_GOODPUT) is None:
        raise CannotTell(f"{observed}: the machine is too noisy for a verdict", wanted)
    if share.above(_CLEARLY_ILL) is not False:
        own = median(each.goodput for each in _controls(exam, loads))
        # Where our own answer serves less than all that was measured to be possible, so may others.
        if share.above(LEAST_GOODPUT * min(1.0, own)) is not False:
            raise CannotTell(f"{observed}, and our own answer {own:.2f}", wanted)
    raise _why_too_few(loads.overloads)(observed, wanted, numbers=numbers)


@mechanism(points=1)
def healthy(exam: Exam) -> Evidence:
    """Meanwhile /health answers within 50 ms."""
    wanted = f"{_WELL:.0%} and more within {HEALTH_MS:g} ms"
    loads = exam.once(Loads)
    rounds = _overloads(exam, loads, _FEWEST_ROUNDS)
    share = median(each.healthy for each in rounds)
    observed, numbers = f"{share:.0%} within {HEALTH_MS:g} ms", {"in_time": share}
    if share >= _WELL:
        return Evidence(observed, wanted, numbers)
    errors = [error for each in rounds for error in each.health.errors]
    if refused := next((error for error in errors if error.status), None):
        raise HealthRefused(str(refused), wanted, numbers=numbers)
    if share >= _CLEARLY_ILL:
        own = median(each.healthy for each in _controls(exam, loads))
        # A moment of a neighbour is as long as the bound.
        if own < _WELL or share > own - (1 - _WELL):
            raise CannotTell(f"{observed}, and {own:.0%} of our own answer's", wanted)
    raise HealthLate(observed, wanted, numbers=numbers)


@hygiene(points=1)
def rests(exam: Exam) -> Evidence:
    """Left alone, the app uses no CPU."""
    for _ in range(_TRIES):
        if (share := _idle_share(exam.learner)) <= _MOST_IDLE_CPU:
            break
    observed, wanted = f"{share:.1%} of a core", f"{_MOST_IDLE_CPU:.0%} at most"
    if share > _MOST_IDLE_CPU:
        raise BusyWhenIdle(observed, wanted, numbers={"cores": share})
    return Evidence(observed, wanted, {"cores": share})


def _decided(exam: Exam, look: Callable[[Candidate], Look], tries: int = _TRIES) -> Evidence:
    """Look until all is right once, clearly wrong twice, or wrong each of so many times.

    Raises:
        Failure: it was wrong, though all is right with the reference on this machine.
        CannotTell: the machine is too noisy for that.
    """
    looks: list[Look] = []
    while len(looks) < tries:
        exam.progress(f"look {len(looks) + 1} of {tries} at most")
        looks.append(seen := look(exam.learner))
        if seen.failure is None:
            return seen.evidence
        # Once may be a neighbour who came and went within the load; and a first look tells what an
        # app does that has seen no overload before.
        clear = [each.failure for each in looks if each.failure and each.clearly and each.steady]
        if len(clear) > 1:
            raise clear[0]
    failures = [each.failure for each in looks if each.failure and each.steady]
    if len(failures) > 1 and look(exam.reference).failure is None:
        raise failures[-1]
    last = looks[-1].evidence
    raise CannotTell(f"the machine is too noisy for a verdict: {last.observed}", last.wanted)


def _recovery(exam: Exam, load: Load) -> Look:
    _require_answers(exam, load)
    calm = load.became(0.0, BEFORE)
    end = BEFORE + DURING + RECOVERY
    after = load.became(end, end + AFTER)
    wanted = f"{_WELL:.0%} in time before it, and {RECOVERY:g} s after it"
    observed = f"{RECOVERY:g} s after a burst of {BURST:g} times the capacity, {after}"
    evidence = Evidence(observed, wanted, {"in_time_after": after.share(after.good)})
    if calm.share(calm.refused) > _MOST_REFUSED_BEFORE:
        early = RefusesInCalm(f"before the burst, {calm}", wanted)
        clearly = calm.share(calm.refused) > _CLEARLY_ILL
        return Look(evidence, early, clearly, load.steady)
    failure = _why_ill(after, load)(observed, wanted, numbers=evidence.numbers)
    if after.share(after.good) < _WELL:
        clearly = max(after.share(after.good), 1 - calm.share(calm.good)) < _CLEARLY_ILL
        return Look(evidence, failure, clearly, steady=load.calm_after(BASE))
    if BURST * load.heavier < _LEAST_BURST:
        return Look(evidence, failure, steady=False)
    return Look(evidence)


def _why_ill(after: Became, load: Load) -> type[Failure]:
    if load.refused < _FEWEST_REFUSED * len(load.visits.status):
        return NeverRefuses
    # Who is refused late stood in line before.
    shut = after.refused > after.late + after.left and load.refused_late < _CLEARLY_ILL
    return StaysShut if shut else DoesNotRecover


def _refusals(exam: Exam, load: Load, answers: list[Response]) -> Look:
    _require_answers(exam, load)
    wanted = "503 with Retry-After, at once"
    became = load.became(SETTLING)
    refusals = [answer for answer in answers if answer.status == REFUSED]
    told = f"at {CRUSH:g} times the capacity, {became}"
    evidence = Evidence(told, wanted, {"refused": load.refused})
    if not load.refused:
        raise NeverRefuses(told, wanted)
    for answer in refusals:
        if not _says_when(answer):
            raise NoRetryAfter(f"Retry-After: {answer.header('retry-after')}", wanted)
    if load.refused_late > _MOST_LEFT or became.share(became.left) > _MOST_LEFT:
        late = f"{told}; {load.refused_late:.0%} of the refusals after {GOOD_MS:g} ms"
        # No neighbour makes most of them late: a refusal takes no work.
        clearly = load.refused_late > _CLEARLY_ILL
        return Look(evidence, RefusesLate(late, wanted), clearly, load.steady or clearly)
    if len(refusals) < _FEWEST_REFUSALS:
        seen = f"{len(refusals)} refusals could be looked at"
        return Look(Evidence(seen, wanted), NoRetryAfter(seen, wanted), steady=False)
    return Look(evidence)


def _calm(exam: Exam, load: Load, refused: int, total: int) -> Look:
    _require_answers(exam, load)
    became = load.became()
    share = (refused + became.refused) / max(1, total + became.total)
    observed = f"{share:.1%} of {total + became.total} refused"
    wanted = f"{_MOST_REFUSED_IN_CALM:.0%} at most, by chance"
    evidence = Evidence(observed, wanted, {"refused": share})
    if share <= _MOST_REFUSED_IN_CALM:
        return Look(evidence)
    clearly = share > _CLEARLY_ILL
    return Look(evidence, RefusesInCalm(observed, wanted), clearly, load.steady)


def _require_answers(exam: Exam, load: Load) -> None:
    """Whoever is not refused gets the right answer, or hangs up before."""
    visits = load.visits
    if not (statuses := load.statuses()) and load.cut_off <= _CUT_OFF:
        return
    exam.not_written_yet()
    exam.learner.check_alive()
    shown = (str(each) for each in visits.errors if each.status in statuses)
    example = next(shown, ", ".join(f"status {status}" for status in sorted(statuses)))
    wanted = "the voucher, or 503"
    if statuses and min(statuses) >= 400 and 500 not in statuses:
        raise NotA503(example, wanted)
    lost = f"{load.cut_off:.0%} of the connections were cut off"
    raise WrongUnderLoad(example or lost, wanted)


def _says_when(refusal: Response) -> bool:
    """RFC 9110, 10.2.3: seconds, or a date."""
    told = refusal.header("retry-after") or ""
    if told.isascii() and told.isdigit():
        return int(told) > 0
    try:
        return parsedate_to_datetime(told) is not None
    except ValueError:
        return False


def _overloads(exam: Exam, loads: Loads, count: int) -> list[Overload]:
    """At least so many rounds of overload, all of which are kept."""
    while len(loads.overloads) < count:
        exam.progress(f"1.5 times the capacity, round {len(loads.overloads) + 1}")
        loads.overloads.append(seen := loads.overload(exam.learner))
        _require_answers(exam, seen.load)
    return loads.overloads


def _goodput(exam: Exam, loads: Loads) -> Interval:
    """As a share of the capacity, from as many steady rounds as it takes to decide."""
    share = Interval(1.0, 0.0, math.inf)
    for count in range(_FEWEST_ROUNDS, _MOST_ROUNDS + 1):
        rounds = _overloads(exam, loads, count)
        shares = [max(each.goodput, _NOTHING) for each in rounds if each.load.steady]
        if len(shares) >= _FEWEST_ROUNDS:
            share = mean_interval(np.log(shares), _CONFIDENCE).exp()
            if share.above(LEAST_GOODPUT) is not None:
                break
    return share


def _why_too_few(rounds: list[Overload]) -> type[Failure]:
    """Whether most of what is missing was served, but too late."""
    became = [each.load.became(SETTLING) for each in rounds]
    missing = sum(each.load.capacity * COUNTED for each in rounds) - sum(b.good for b in became)
    late = sum(each.late + each.left for each in became)
    return ServesLate if late > missing / 2 else ServesTooLittle


def _controls(exam: Exam, loads: Loads) -> list[Overload]:
    """The same rounds with our own answer."""
    while len(loads.controls) < _CONTROLS:
        loads.controls.append(loads.overload(exam.reference))
    return loads.controls


def _idle_share(candidate: Candidate) -> float:
    before = candidate.cpu_seconds()
    sleep(_IDLE_SECONDS)
    return (candidate.cpu_seconds() - before) / _IDLE_SECONDS
