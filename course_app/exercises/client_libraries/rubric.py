"""How reports are judged: by what PostgreSQL counted, and by measuring again."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise
from typing import Any, TypeVar

import numpy as np
import psycopg

from course_app.apps.drivers import DRIVERS
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
from course_app.grading.failures import StoppedAnswering
from course_app.load import Response, get
from course_app.load.limits import TimedOut
from course_app.measure.calls import CallComparison, compare_calls
from course_app.measure.probes.postgres import PostgresProbe
from course_app.measure.statistics import Interval, speedup_interval

T = TypeVar("T")

_NAMES = list(DRIVERS)
_LEAST_CALLS = 10
#: Warm-up calls need not be among the calls that are reported, and connecting fetches some rows.
_MORE_ROWS, _ROWS_OF_CONNECTING = 1.5, 200
#: Turns that have to be seen when PostgreSQL is asked every few milliseconds who works. Opening
#: both drivers, warming both up and then running one after the other makes five.
_LEAST_TURNS = 8
_WATCH_SECONDS = 0.002
#: As many as may be asked for: a report on few rows is over after a dozen looks.
_ROWS_WATCHED = 1000
#: Orders count where the check itself finds one driver this many times as slow as another;
#: a report has to tell those apart that are further apart than that.
_ORDERED, _FAR_APART = 1.5, 2.5
#: How far a factor may be off, besides both intervals: the machine changes between two looks.
_OFF = 2.0
_USELESS_WIDTH = 8.0
#: Equal to three digits.
_AS_WIDE = 1.001
_ROUNDS = 12
#: A report of two seconds may take longer on a busy machine: as much longer as our own takes than
#: on a calm one, where it is ready after a second, whatever is asked for.
_PATIENCE_SECONDS, _LONGEST_SECONDS, _OURS_SECONDS = 3.0, 9.0, 1.0
_WHO_WORKS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND usename = %s AND pid <> pg_backend_pid()
ORDER BY query_start DESC LIMIT 1
"""


class NoReport(Failure):
    """The report does not answer what was asked."""

    hint = (
        "One entry for each driver that was asked for, in that order, also when one is named "
        "twice; and within two seconds. Where it takes longer, fewer rounds or calls are enough."
    )


class NoInterval(Failure):
    """A factor comes without an interval."""

    hint = (
        "One number is a rumour. Take several rounds, one ratio a round, and give "
        "[low, estimate, high]: course_app.measure.statistics.mean_interval of the ratios' "
        "logarithms, then .exp(). Times that are kept by name know no second entry of that name."
    )


class FetchesNothing(Failure):
    """The report was not measured: PostgreSQL saw no such calls."""

    hint = "A report of another day, or of another machine, says nothing about this one."


class OtherRows(Failure):
    """A driver fetched another number of rows than the report says."""

    hint = (
        "Calls times rows must be what PostgreSQL sent. Do all drivers fetch `rows` rows, and does "
        "`calls` hold all calls of all rounds?"
    )


class ConnectsAnew(Failure):
    """A driver opens more than one connection for a report."""

    hint = (
        "Then connecting is measured, not fetching. Open each driver's connection once and keep it."
    )


class NoTurns(Failure):
    """The drivers run one after another instead of in turns."""

    hint = (
        "If the machine gets busy halfway, the second driver looks slow. Open all of them, then go "
        "round: a few calls each, forwards and backwards."
    )


class WrongOrder(Failure):
    """The report puts two drivers in the wrong order."""

    hint = "Is it the time of a call, divided by the first driver's? More must mean slower."


class WrongFactor(Failure):
    """A factor is far from what the check measured."""

    hint = (
        "What is between the two looks at the clock? Only calls belong there: no connecting, no "
        "warm-up, and nothing that takes as long for every driver."
    )


class SaysNothing(Failure):
    """The intervals are so wide that the report says nothing."""

    hint = "More rounds, a few calls in each, and ratios taken round by round make it narrow."


class NoRefusal(Failure):
    """What cannot be measured is not refused with 422."""

    hint = (
        "Let FastAPI check it: a Literal of the four names, Query(min_length=1) for the list, "
        "Query(ge=1, le=1000) for the rows."
    )


class LeavesConnections(Failure):
    """Connections are still open when the report has been given."""

    hint = "Who opens closes: `async with`, or an AsyncExitStack for several."


@dataclass(frozen=True)
class _Entry:
    driver: str
    calls: int
    ratio: Interval


@contract(points=2)
def reports(exam: Exam) -> Evidence:
    """The report names the drivers as asked, and each factor has an interval."""
    compared: list[Interval] = []
    for rows in (1, exam.random.randint(50, 300)):
        entries = _report(exam, exam.random.sample(_NAMES, 3), rows)
        compared += [entry.ratio for entry in entries[1:]]
    if _equally_wide(compared):
        observed = f"every interval is equally wide, such as {compared[0]}"
        raise NoInterval(observed, "intervals from what was measured")
    return Evidence("2 reports with intervals", "an interval for each driver")


@mechanism(points=2)
def fetches_as_it_says(exam: Exam) -> Evidence:
    """Each driver fetches the rows that were asked for, on one connection (PostgreSQL counts)."""
    against_itself = []
    for name in _NAMES:
        rows = exam.random.randint(150, 400)
        counted = _in_time(exam, partial(_counted, exam, name, rows))
        said = counted["calls"] * rows
        observed = f"{name}: {counted['rows']:,.0f} rows, {counted['sessions']:.0f} connections"
        wanted = f"{said:,} rows ({counted['calls']} calls of {rows}), 2 connections for 2 entries"
        if counted["rows"] < 0.1 * said and counted["sessions"] < 1:
            raise FetchesNothing(observed, wanted)
        if counted["sessions"] > 2:
            raise ConnectsAnew(observed, wanted)
        if not said <= counted["rows"] <= _MORE_ROWS * said + _ROWS_OF_CONNECTING:
            raise OtherRows(observed, wanted)
        against_itself.append(counted["width"])
    # Not each by itself: a narrow one may be rounded away.
    if not any(against_itself):
        observed = "[low, estimate, high] are one number wherever a driver is named twice"
        raise NoInterval(observed, "the second entry is measured, too")
    return Evidence("rows and connections as reported", "rows = calls x rows, one connection each")


@mechanism(points=1)
def takes_turns(exam: Exam) -> Evidence:
    """Drivers take turns, so that a busy moment hits all of them."""
    seen = _in_time(exam, partial(_watched, exam))
    turns = sum(a != b for a, b in pairwise(seen))
    observed, wanted = f"{turns} turns seen in {len(seen)} looks", f"{_LEAST_TURNS} or more"
    if turns >= _LEAST_TURNS:
        return Evidence(observed, wanted, {"turns": turns})
    if len(seen) < 5 * _LEAST_TURNS:
        raise CannotTell(observed, wanted)
    raise NoTurns(observed, wanted)


@speed(points=3)
def right_order(exam: Exam) -> Evidence:
    """The order is the one that the check finds when it measures again, for 1 and 1000 rows."""
    told = 0
    for rows in (1, 1000):
        truth = _measured(exam, rows)
        for again in (True, False):
            try:
                told += _agree(truth, _report(exam, _NAMES, rows), rows)
                break
            except (Failure, CannotTell):
                # The machine may have changed in between: look at both once more.
                if not again:
                    raise
                truth = _measured(exam, rows)
    if not told:
        raise CannotTell("the check itself told no two drivers apart", "orders to compare")
    return Evidence(f"{told} orders compared, all alike", "the order that the check measured")


@hygiene(points=1)
def refuses(exam: Exam) -> Evidence:
    """An unknown driver, no driver, and rows outside of 1 to 1000 are refused with 422."""
    paths = (
        "/report?drivers=oracle&rows=1",
        "/report?rows=1",
        "/report?drivers=asyncpg&rows=0",
        "/report?drivers=asyncpg&rows=100000",
    )
    for path in paths:
        (answer,) = exam.ask(exam.learner, get(path, expect_status=422))
        if answer.status != 422:
            raise NoRefusal(f"{path}: {answer.status}", "422")
    return Evidence("4 of 4 refused", "422")


@hygiene(points=1)
def closes(exam: Exam) -> Evidence:
    """No connection is open when the report has been given."""
    _report(exam, _NAMES, 1)
    left = exam.learner.connections_after(1.0)
    if left:
        raise LeavesConnections(f"{left} connections", "none")
    return Evidence("none", "none")


def _report(exam: Exam, names: list[str], rows: int) -> list[_Entry]:
    """A report, also from a machine that is busy for once."""
    return _in_time(exam, partial(_asked, exam, names, rows))


def _in_time(exam: Exam, measure: Callable[[], T]) -> T:
    """What is measured with a report; the whole of it anew, more patiently, if that was late.

    Nobody stops a report that was late: what it does must not be measured with the next one.
    """
    patience = exam.once(_patience)
    for again in (True, False):
        try:
            with exam.patient(patience[0]):
                return measure()
        except StoppedAnswering as silence:
            if not isinstance(silence.__cause__, TimedOut):
                raise
            late = silence
        if again:
            exam.learner.connections_after(_LONGEST_SECONDS)
            busy = _seconds_of_ours(exam) / _OURS_SECONDS
            patience[0] = min(_PATIENCE_SECONDS * max(1.0, busy), _LONGEST_SECONDS)
    observed = f"no answer within {patience[0]:.1f} s"
    raise NoReport(observed, "a report within two seconds") from late


def _patience(_exam: Exam) -> list[float]:
    """For how long reports are waited for in this check; what is found out is kept in it."""
    return [_PATIENCE_SECONDS]


def _seconds_of_ours(exam: Exam) -> float:
    """How long our own answer takes for the longest report just now."""
    query = "&".join(f"drivers={name}" for name in _NAMES)
    began = time.monotonic()
    with exam.patient(_LONGEST_SECONDS), exam.learner_frozen():
        exam.ask(exam.reference, get(f"/report?{query}&rows=1000"))
    return time.monotonic() - began


def _asked(exam: Exam, names: list[str], rows: int) -> list[_Entry]:
    """Ask for a report and read it strictly."""
    query = "&".join([*(f"drivers={name}" for name in names), f"rows={rows}"])
    (answer,) = exam.ask(exam.learner, get(f"/report?{query}"))
    found = _read(answer)
    if [entry["driver"] for entry in found] != names:
        raise NoReport(f"{[entry['driver'] for entry in found]}", f"{names}")
    return [_entry(entry) for entry in found]


def _read(answer: Response) -> list[dict[str, Any]]:
    wanted = '{"rows": ..., "drivers": [{"driver": ..., "calls": ..., "times_as_long": [...]}]}'
    try:
        drivers = answer.json()["drivers"]
        if answer.status == 200 and all("driver" in entry for entry in drivers):
            return list(drivers)
    except (ValueError, KeyError, TypeError):
        pass
    raise NoReport(f"{answer.status} {answer.text[:150]}", wanted)


def _entry(entry: dict[str, Any]) -> _Entry:
    wanted = "[low, estimate, high], positive and in this order"
    calls, ratio = entry.get("calls"), entry.get("times_as_long")
    if not isinstance(calls, int) or calls < _LEAST_CALLS:
        raise NoReport(f"calls: {calls}", f"{_LEAST_CALLS} calls or more")
    if not (isinstance(ratio, list) and len(ratio) == 3 and all(_is_number(x) for x in ratio)):
        raise NoInterval(f"times_as_long: {ratio}", wanted)
    low, estimate, high = ratio
    if not 0 < low <= estimate <= high:
        raise NoInterval(f"times_as_long: {ratio}", wanted)
    return _Entry(entry["driver"], calls, Interval(estimate, low, high))


def _equally_wide(intervals: list[Interval]) -> bool:
    """Whether their widths are one share of their estimates: measured ones never are.

    Without any width some may be, where they are rounded.
    """
    shares = [(each.high - each.low) / each.estimate for each in intervals]
    return 0 < max(shares) <= _AS_WIDE * min(shares)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _counted(exam: Exam, name: str, rows: int) -> dict[str, float]:
    """A report on one driver against itself: all that PostgreSQL counts is that driver's."""
    probe = next(p for p in exam.probes(exam.learner) if isinstance(p, PostgresProbe))
    probe.start()
    entries = _asked(exam, [name, name], rows)
    readings = {reading.name: reading.value for reading in probe.stop()}
    return {
        "calls": sum(entry.calls for entry in entries),
        "rows": readings["rows"],
        "sessions": readings["PostgreSQL sessions"],
        "width": entries[1].ratio.high - entries[1].ratio.low,
    }


def _watched(exam: Exam) -> list[int]:
    """Which connection worked last, look by look, while two drivers are compared."""
    with _turns(exam) as seen:
        _asked(exam, ["asyncpg", "orm"], _ROWS_WATCHED)
    return seen


@contextmanager
def _turns(exam: Exam) -> Iterator[list[int]]:
    """While it is open: which connection worked last, look by look."""
    seen: list[int] = []
    done = threading.Event()
    space = exam.learner.workspace

    def watch() -> None:
        with psycopg.connect(space.reader_dsn or "", autocommit=True) as connection:
            while not done.wait(_WATCH_SECONDS):
                row = connection.execute(_WHO_WORKS, [space.user]).fetchone()
                if row:
                    seen.append(row[0])

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    time.sleep(0.05)  # the watcher is there before the report begins
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _measured(exam: Exam, rows: int) -> CallComparison:
    dsn = exam.learner.workspace.postgres_dsn or ""
    exam.progress(f"measuring again, {rows} rows")
    clients = {name: partial(driver, dsn, rows) for name, driver in DRIVERS.items()}
    with exam.learner_frozen():
        return compare_calls(clients, workload=f"{rows} rows", rounds=_ROUNDS)


def _agree(truth: CallComparison, report: list[_Entry], rows: int) -> int:
    """How many orders were compared. Raises what the report gets wrong."""
    by_name = {entry.driver: entry.ratio for entry in report}
    compared = 0
    for a, b in combinations(_NAMES, 2):
        ratio = _slower(truth, a, b)
        fast, slow, ratio = (a, b, ratio) if ratio.estimate > 1 else (b, a, _slower(truth, b, a))
        if not ratio.above(_ORDERED):
            continue
        compared += 1
        wanted = f"{rows} rows: {slow} takes {ratio} the time of {fast}"
        observed = f"{fast} {by_name[fast]}, {slow} {by_name[slow]}"
        if by_name[slow].high < by_name[fast].low:
            raise WrongOrder(observed, wanted)
        if ratio.above(_FAR_APART) and not _told_apart(by_name[fast], by_name[slow]):
            if by_name[slow].high > _USELESS_WIDTH * by_name[slow].low:
                raise SaysNothing(observed, wanted)
            raise CannotTell(observed, wanted)
    _factors(truth, by_name, rows)
    return compared


def _told_apart(fast: Interval, slow: Interval) -> bool:
    """At least one interval leaves the other's estimate out.

    That the intervals lie apart would be too much to ask: all factors of a round share the time
    of the first driver, so they go up and down together.
    """
    return slow.estimate > fast.high or slow.low > fast.estimate


def _factors(truth: CallComparison, report: dict[str, Interval], rows: int) -> None:
    for name in _NAMES[1:]:
        found, said = _slower(truth, _NAMES[0], name), report[name]
        if said.high * _OFF < found.low or said.low > _OFF * found.high:
            raise WrongFactor(f"{rows} rows, {name}: {said}", f"{found}, give or take {_OFF:g}x")


def _slower(truth: CallComparison, fast: str, slow: str) -> Interval:
    times = [np.log(truth[name].rounds["p50"]) for name in (slow, fast)]
    return speedup_interval(times[0] - times[1])
