"""A plan's services as real processes, started for a check and gone at its end."""

from collections.abc import Mapping

from course_app.exercises.workers.plan import CLIENTS, TRAFFIC, Choice
from course_app.grading import CouldNotCheck, Exam
from course_app.load import LoadResult, Workload, as_workload
from course_app.measure.pace import paced
from course_app.measure.subject import connect
from course_app.serving import ProcessServer, ServingError, UsageNotKnown

APP = "course_app.apps.workers:app"
_START_SECONDS = 40.0
_WINDOW_SECONDS = 0.25
#: Longer than a request takes, so that all clients are in step with the server.
_WARMUP_SECONDS = 0.1


def deploy(exam: Exam, name: str, choice: Choice) -> ProcessServer:
    """Start a service with the learner's database; the same again if it runs already.

    Raises:
        CouldNotCheck: it does not start. Plans that cannot start are refused on paper.
    """
    found = exam.once(_servers)
    if name not in found:
        exam.progress(f"starting {name}: {choice.server} x {choice.workers}")
        settings = {
            "POSTGRES_DSN": exam.learner.workspace.postgres_dsn or "",
            "POOL_SIZE": str(choice.pool),
        }
        try:
            server = ProcessServer(
                APP,
                name=name,
                program=choice.server,
                workers=choice.workers,
                env=settings,
                startup_timeout_seconds=_START_SECONDS,
            )
        except ServingError as error:
            raise CouldNotCheck(f"{name} does not start: {error}") from error
        found[name] = exam.enter(server)
    return found[name]


def _servers(_exam: Exam) -> dict[str, ProcessServer]:
    """What was started, by name; criteria share it."""
    return {}


def uvicorn(exam: Exam, workers: int, plan: Mapping[str, Choice]) -> ProcessServer:
    """A uvicorn with that many workers: one of the plan's, if there is one."""
    for name, choice in plan.items():
        if choice.server == "uvicorn" and choice.workers == workers:
            return deploy(exam, name, choice)
    return deploy(exam, f"uvicorn x {workers}", Choice("uvicorn", workers, 0, {}))


def send(
    exam: Exam, server: ProcessServer, service: str, *, rounds: int | None = None
) -> LoadResult:
    """All clients of a service: for a window, or for so many requests of each."""
    return _sent(exam, server, TRAFFIC[service], CLIENTS[service], rounds)


def cpu_per_request(exam: Exam, server: ProcessServer, path: str, clients: int) -> float:
    """CPU seconds of all processes of a server for each request, in one window.

    Raises:
        CouldNotCheck: a request was not answered.
        UsageNotKnown: the system does not tell the CPU time of processes, or too coarsely.
    """
    before = server.cpu_seconds()
    result = _sent(exam, server, as_workload(path), clients, None)
    if result.error_count or not result.completed:
        raise CouldNotCheck(f"{server.name} does not answer {path}.")
    used = server.cpu_seconds() - before
    if used <= 0:  # no request is free: the clock did not move between two readings
        raise UsageNotKnown(f"The CPU time of {server.name} is told too coarsely on this system.")
    return used / result.served


def _sent(
    exam: Exam, server: ProcessServer, traffic: Workload, clients: int, rounds: int | None
) -> LoadResult:
    target = connect(exam.generator, server, traffic, clients)
    try:
        if rounds:
            return exam.generator.closed(target, requests=rounds * clients)
        return exam.generator.closed(
            target, seconds=paced(_WINDOW_SECONDS), warmup_seconds=_WARMUP_SECONDS
        )
    finally:
        exam.generator.disconnect(target)
