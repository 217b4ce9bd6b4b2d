"""How plans are judged: their services are started and used, and what they take is counted."""

from course_app.exercises.workers.deployment import deploy, send
from course_app.exercises.workers.figures import cpu_costs, own_gain, reported_gain
from course_app.exercises.workers.plan import (
    FEWEST_WINDOWS,
    MOST_CONNECTIONS,
    MOST_MEMORY_MB,
    MOST_WORKERS,
    REPORT_SECONDS,
    REPORTS_PER_SECOND,
    SERVICES,
    Plan,
    read_plan,
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
from course_app.measure.answers import excerpt
from course_app.serving import ProcessServer

#: Two cores: what the text of the exercise says of the machine.
_CORES = 2
#: From which figure on a worker is worth having, in a report's medians.
_A_GAIN = 1.1
#: How far a reported gain may be from the check's own: machines and moments differ.
_OFF = 2.0
#: What a second worker gives where nobody else uses the two cores.
_QUIET_GAIN = {"computes": _CORES, "waits": 1}
#: A server that needs this many times uvicorn's CPU is a costly one.
_COSTLY = 1.5

#: A busy moment must not decide.
_TRIES = 3


class NoPlan(Failure):
    """The plan does not say what was asked."""

    hint = "GET /plan answers the same each time: three services, each with all four entries."


class TooManyConnections(Failure):
    """The plan's pools are larger than the budget."""

    hint = "Each worker has a pool of its own. Which of the services ask PostgreSQL at all?"


class TooManyWorkers(Failure):
    """The plan starts more processes than the machine is meant for."""

    hint = "Begin with one worker for each service. What does a second one give, measured?"


class NotServed(Failure):
    """Some requests are refused under the load of the exercise."""

    hint = (
        "503 means that no connection was free within a second. Little's law: n clients, each of "
        "which holds a connection for t seconds, wait for n * t / pool."
    )


class OverMemory(Failure):
    """The processes take more memory than the budget has."""

    hint = "Print `pss_bytes()` for one worker and for two. Which workers earn their memory?"


class OneCoreIdle(Failure):
    """The service that computes leaves a core unused."""

    hint = "On how many cores does one process run Python at the same time?"


class UselessWorkers(Failure):
    """There are workers that serve no request more."""

    hint = (
        "Measure with one worker and with yours: no more requests per second means that the "
        "worker costs memory for nothing. What is the service waiting for?"
    )


class SmallPool(Failure):
    """Requests wait for a connection longer than they need to."""

    hint = "Connections = requests per second x seconds that each of them holds one."


class CostlyServer(Failure):
    """A server takes much more CPU for a request than another would."""

    hint = "Compare the servers on a handler that does nothing: what is left is their own cost."


class NotMeasured(Failure):
    """A choice of workers comes without the measurement that it rests on."""

    hint = (
        "For each service: requests per second in three windows or more, for the number of workers "
        "that you chose and for another one, written down as numbers."
    )


class Contradicted(Failure):
    """The figures say something else than the choice."""

    hint = (
        "Are they requests per second, the more the better? Then what do they recommend? For the "
        "reports: had both as many connections in all?"
    )


class NotTrue(Failure):
    """The figures are far from what the check measured."""

    hint = "Measure again, on a quiet machine, with the clients of the exercise."


@contract(points=1)
def fits_on_paper(exam: Exam) -> Evidence:
    """The plan names a server, workers and a pool for each service, within the budget."""
    plan = exam.once(_agreed)
    workers = sum(choice.workers for choice in plan.values())
    connections = sum(choice.connections for choice in plan.values())
    return Evidence(f"{workers} workers, {connections} connections", "within the budget")


@contract(points=1)
def serves(exam: Exam) -> Evidence:
    """Started as planned, the three services answer every request of their clients."""
    for service in reversed(SERVICES):  # the one that can refuse comes first
        result = send(exam, _server(exam, service), service, rounds=2)
        if result.error_count:
            total = result.error_count + result.completed
            observed = f"{service}: {result.error_count} of {total} requests, {result.errors[0]}"
            raise NotServed(observed, "every request answered")
    return Evidence("all requests answered", "all")


@mechanism(points=2)
def within_budget(exam: Exam) -> Evidence:
    """Counted while they run: memory (PSS) and connections are within the budget."""
    memory_mb = sum(_server(exam, service).pss_bytes() for service in SERVICES) / 1e6
    connections = exam.learner.connections()
    observed = f"{memory_mb:.0f} MB, {connections} connections"
    wanted = f"{MOST_MEMORY_MB} MB and {MOST_CONNECTIONS} connections at most"
    numbers = {"memory_mb": memory_mb, "connections": connections}
    if connections > MOST_CONNECTIONS:
        raise TooManyConnections(observed, wanted, numbers=numbers)
    if memory_mb > MOST_MEMORY_MB:
        raise OverMemory(observed, wanted, numbers=numbers)
    return Evidence(observed, wanted, numbers)


@mechanism(points=2)
def workers_that_help(exam: Exam) -> Evidence:
    """As many workers as bring more requests, and no more: adding none is an answer, too."""
    chosen = {service: choice.workers for service, choice in exam.once(_agreed).items()}
    observed = ", ".join(f"{service} {workers}" for service, workers in chosen.items())
    wanted = "one for each core that can be used, one where none is needed"
    if chosen["computes"] < _CORES:
        raise OneCoreIdle(observed, wanted)
    if chosen["computes"] > _CORES or chosen["waits"] > 1 or chosen["reports"] > 1:
        raise UselessWorkers(observed, wanted)
    return Evidence(observed, wanted)


@speed(points=1)
def large_enough(exam: Exam) -> Evidence:
    """300 reports a second and more: the pool is large enough for that."""
    choice, server = exam.once(_agreed)["reports"], _server(exam, "reports")
    rate = 0.0
    for _ in range(_TRIES):
        if rate < REPORTS_PER_SECOND:
            rate = max(rate, send(exam, server, "reports").throughput)
    observed, wanted = f"{rate:.0f} reports/s", f"{REPORTS_PER_SECOND} or more"
    if rate >= REPORTS_PER_SECOND:
        return Evidence(observed, wanted, {"reports_per_second": rate})
    # Little's law: with fewer connections it is impossible, on any machine.
    if choice.connections / REPORT_SECONDS >= REPORTS_PER_SECOND:
        raise CannotTell(f"{observed}, though the pool would do for more", wanted)
    raise SmallPool(observed, wanted, numbers={"reports_per_second": rate})


@speed(points=1)
def cheap_enough(exam: Exam) -> Evidence:
    """No server needs much more CPU for a request than uvicorn does."""
    plan = exam.once(_agreed)
    others: dict[str, ProcessServer] = {
        choice.server: _server(exam, service)
        for service, choice in plan.items()
        if choice.server != "uvicorn"
    }
    if not others:
        return Evidence("uvicorn itself", f"{_COSTLY:g} times uvicorn's CPU at most")
    costs = cpu_costs(exam, others, plan)
    worst = max(costs, key=lambda name: costs[name].estimate)
    observed = f"{worst}: {costs[worst]} of uvicorn's CPU"
    wanted = f"{_COSTLY:g} times at most"
    dear = costs[worst].above(_COSTLY)
    if dear is None:
        raise CannotTell(observed, wanted)
    if dear:
        raise CostlyServer(observed, wanted, numbers=costs[worst].to_dict())
    return Evidence(observed, wanted, costs[worst].to_dict())


@hygiene(points=2)
def explained(exam: Exam) -> Evidence:
    """Each number of workers rests on figures; the check measures two services again."""
    plan = exam.once(_agreed)
    gains: dict[str, float] = {}
    for service, choice in plan.items():
        gain = reported_gain(choice)
        if gain is None:
            raise NotMeasured(
                f"{service}: windows for {list(choice.measured) or 'no'} workers",
                f"{FEWEST_WINDOWS} windows or more with one worker, and with more of them",
            )
        gains[service] = gain
        if (gain > _A_GAIN) is not (choice.workers > 1):
            observed = f"{service}: {choice.workers} chosen, more workers gave {gain:.2f}x"
            raise Contradicted(observed, f"more than one where it gives over {_A_GAIN:g}x")
    for service in _QUIET_GAIN:
        _require_true(exam, service, plan, gains[service])
    said = ", ".join(f"{service} {gain:.2f}x" for service, gain in gains.items())
    return Evidence(f"more workers gave {said}", "figures that bear out the choice")


def _require_true(exam: Exam, service: str, plan: Plan, gain: float) -> None:
    """Where others use the cores, a second worker gives less than on a quiet machine."""
    for _ in range(_TRIES):
        own = own_gain(exam, service, plan)
        if own.low / _OFF <= gain <= own.high * _OFF:
            return
    observed, wanted = f"{service}: {gain:.2f}x", f"about {own} for a second worker"
    quiet = _QUIET_GAIN[service]
    if quiet / _OFF <= gain <= quiet * _OFF:
        raise CannotTell(observed, wanted)
    raise NotTrue(observed, wanted)


def _agreed(exam: Exam) -> Plan:
    """The plan that all criteria judge.

    Raises:
        Failure: it is none, or it is not within the budget.
    """
    plan = _plan(exam)
    if _plan(exam) != plan:
        raise NoPlan("another plan when asked again", "the same")
    workers = sum(choice.workers for choice in plan.values())
    connections = sum(choice.connections for choice in plan.values())
    if connections > MOST_CONNECTIONS:
        raise TooManyConnections(f"{connections} connections", f"{MOST_CONNECTIONS} at most")
    if workers > MOST_WORKERS:
        raise TooManyWorkers(f"{workers} workers", f"{MOST_WORKERS} at most")
    return plan


def _server(exam: Exam, service: str) -> ProcessServer:
    """What the plan starts for a service; the same for all criteria."""
    return deploy(exam, service, exam.once(_agreed)[service])


def _plan(exam: Exam) -> Plan:
    (answer,) = exam.ask(exam.learner, "/plan")
    try:
        return read_plan(answer.json())
    except ValueError as error:  # no JSON, or none that is a plan
        exam.not_written_yet()
        raise NoPlan(excerpt(answer), str(error)) from error
