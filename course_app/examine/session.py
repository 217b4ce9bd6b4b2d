"""An examination from a user's words to its report: find the app, learn how to ask it, ask it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from course_app.errors import CourseError
from course_app.examine.compared import changes
from course_app.examine.discovery import discovered, templates
from course_app.examine.engine import Progress, examine_now
from course_app.examine.findings import Report
from course_app.examine.target import CannotExamine, Target
from course_app.examine.traffic import (
    RIGHT,
    Traffic,
    declared,
    named,
    read_har,
    read_log,
    replayed,
)
from course_app.examine.ward import Ward, WardGone
from course_app.load import Generator, Request, Workload, as_workload
from course_app.services import start_services

#: What is enough for so many routes; each further one gets as much as an equal share of what an
#: examination may take in all.
USUAL_SECONDS, USUAL_ROUTES = 55.0, 5
SECONDS_EACH, MOST_SECONDS = 4.0, 480.0
_LAST_WORDS_SECONDS = 1.0
#: How much of the whole the questions before the examination are.
_SHARE_OF_LEARNING = 0.05


@dataclass(frozen=True)
class Wishes:
    """What a user says about the traffic; without any of it the app itself is asked.

    Attributes:
        gets: paths such as ``/users/{id}``, or ``POST /login``.
        values: such as ``id=1..100000``, for the names in them.
        har, log: a file of recorded requests.
        headers: by name, sent with every request.
        traffic: the requests themselves, for callers from Python.
    """

    gets: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    har: Path | None = None
    log: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    traffic: str | Request | Workload | None = None


def seconds_for(routes: int) -> float:
    """About how long an examination of so many routes takes, if nobody says otherwise."""
    return min(MOST_SECONDS, USUAL_SECONDS + SECONDS_EACH * max(0, routes - USUAL_ROUTES))


@contextmanager
def lab_services() -> Iterator[dict[str, str]]:
    """The lab's PostgreSQL and Valkey, for who asks for them; none where they do not start."""
    with ExitStack() as stack:
        try:
            started = stack.enter_context(start_services())
        except CourseError:
            yield {}
            return
        yield {"postgres_dsn": started.postgres_dsn, "valkey_url": started.valkey_url}


@dataclass(frozen=True)
class Learned:
    """What is known of an app before it is examined: how it is asked, and what it asked for."""

    traffic: Traffic
    services: Mapping[str, str]


def learn(
    target: Target,
    services: Mapping[str, str],
    wishes: Wishes,
    told: Callable[[str, float], None] = lambda _, __: None,
) -> Learned:
    """Start the app once to see what can be asked of it.

    Raises:
        CannotExamine: it does not start, or nothing can be asked.
    """
    if sum(map(bool, (wishes.gets, wishes.har, wishes.log))) > 1:
        raise CannotExamine("Give one of --get, --har and --log: each is a whole of its own.")
    if wishes.values and not wishes.gets:
        raise CannotExamine("--values is for the names in --get: give both, or neither.")
    # what cannot be read is told before anything is started
    traffic = named(wishes.gets, wishes.values, wishes.headers) if wishes.gets else None
    if wishes.traffic is not None:
        traffic = Traffic(tuple(_lenient(x) for x in as_workload(wishes.traffic).requests))
    recorded = list(read_har(wishes.har)) if wishes.har else None
    recorded = list(read_log(wishes.log)) if wishes.log else recorded
    told("starting the app", 0.0)
    with Ward(target, services) as ward:
        try:
            described = ward.ask("describe")
            openapi = described["openapi"]
            if recorded is not None:
                traffic = replayed(recorded, templates(openapi), wishes.headers)
            elif traffic is None and described["routes"] is not None:
                traffic = declared(described["routes"], wishes.headers)
            elif traffic is None:
                traffic = _asked_itself(ward, described, wishes.headers, told)
        except WardGone as gone:
            raise CannotExamine(str(gone)) from gone
    return Learned(traffic, {name: services[name] for name in described["services"]})


def _lenient(request: Request) -> Request:
    """That there is no such thing is an answer, unless the caller says which statuses are right."""
    return replace(request, expect_status=RIGHT) if request.expect_status == (200,) else request


def _asked_itself(
    ward: Ward,
    described: Mapping[str, Any],
    headers: Mapping[str, str],
    told: Callable[[str, float], None],
) -> Traffic:
    if described["problem"]:
        raise CannotExamine(
            f"It has no ROUTES beside it, and {described['problem']}. Name what to send: "
            '--get "/users/{id}" --values id=1..1000.'
        )
    with Generator() as generator:
        try:
            openapi = described["openapi"] or {"paths": {}}
            return discovered(
                openapi, generator, ward.url, headers, told, lambda: ward.held().turns
            )
        except CannotExamine as error:
            if not ward.ends_within(_LAST_WORDS_SECONDS):
                raise
            said = f" It printed last:\n{ward.said}" if ward.said else ""
            raise CannotExamine(f"{error} Its process has ended.{said}") from error


def run(
    target: Target,
    services: Mapping[str, str],
    *,
    wishes: Wishes | None = None,
    against: Target | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    seconds: float = 0.0,
) -> tuple[Report, Report | None]:
    """Examine one app, and another version of it where there is one.

    Args:
        target, against: apps, as `parse_target` reads them.
        services: the lab's addresses, by ``postgres_dsn`` and ``valkey_url``.
        progress: is told what goes on, which share is done, and the seconds left.
        stop: once set, what is known so far is reported: the first version's report and None, where
            the other was not yet begun.
        seconds: about how long one version takes; 0: as its number of routes asks for.

    Raises:
        CannotExamine: nothing can be said about it; why, and what to do.
    """
    versions = 1 if against is None else 2
    first = _version(target, services, wishes, progress, stop, seconds, (0, versions))
    if against is None:
        return first, None
    try:
        if _stopped(stop):
            return _without(against, first), None
        other = _version(against, services, wishes, progress, stop, seconds, (1, versions))
    except CannotExamine:
        if not _stopped(stop):
            raise
        return _without(against, first), None
    found = changes(before=first, after=other)
    return first.model_copy(update={"against": against.text, "changes": found}), other


def _stopped(stop: threading.Event | None) -> bool:
    return stop is not None and stop.is_set()


def _without(other: Target, report: Report) -> Report:
    """The first version's report, where nothing is known of the other one."""
    note = f"{other.text} was not examined: it was stopped before that."
    return report.model_copy(update={"not_looked_at": (*report.not_looked_at, note)})


def _version(
    target: Target,
    services: Mapping[str, str],
    wishes: Wishes | None,
    progress: Progress | None,
    stop: threading.Event | None,
    seconds: float,
    turn: tuple[int, int],
) -> Report:
    number, versions = turn
    later = (versions - number - 1) * (seconds or USUAL_SECONDS)

    def tell(what: str, done: float, left: float) -> None:
        if progress is not None:
            named_what = f"{target.text}: {what}" if versions > 1 else what
            progress(named_what, (number + done) / versions, left + later)

    def learning(what: str, done: float) -> None:
        if _stopped(stop):
            raise CannotExamine("Stopped before anything was measured.")
        tell(what, _SHARE_OF_LEARNING * done, seconds or USUAL_SECONDS)

    def examining(what: str, done: float, left: float) -> None:
        tell(what, _SHARE_OF_LEARNING + (1 - _SHARE_OF_LEARNING) * done, left)

    learned = learn(target, services, wishes or Wishes(), learning)
    requests = learned.traffic.requests
    report = examine_now(
        target,
        requests,
        services=learned.services,
        progress=examining,
        stop=stop,
        seconds=seconds or seconds_for(len(requests)),
    )
    tell("examined", 1.0, 0.0)
    notes = (*learned.traffic.notes, *report.not_looked_at)
    return report.model_copy(update={"not_looked_at": notes})
