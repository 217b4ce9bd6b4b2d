"""Is a cause gone? Each is counted at its own route."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from course_app.apps.partner import ARTICLES, CALL_SECONDS
from course_app.exercises.clinic.diagnosis import patient_in
from course_app.grading import Evidence, Exam, Failure, mechanism
from course_app.load import Request, get, uniform

OFFERS = 5  # articles on a page
_POSTS = 40
_CLIENTS = 12


class AsksForEachRow(Failure):
    """The number of statements still grows with the number of rows."""

    hint = "Await fewer times, not faster: one statement can bring the names for all rows."


class ReadsTheTable(Failure):
    """A page of a few rows still reads a whole table."""

    hint = (
        "EXPLAIN (ANALYZE, BUFFERS) shows a Seq Scan. Which column does the query filter by, and "
        "who could find its rows without reading all of them?"
    )


class Connects(Failure):
    """A request still opens a connection of its own."""

    hint = "PostgreSQL counts sessions. Who has connections that are open already?"


class AwaitsInTurn(Failure):
    """Calls that do not need each other still wait for each other."""

    hint = "The whole request takes as long as all its calls together. Await them together."


class BlocksTheLoop(Failure):
    """Requests still wait in line for a call that blocks."""

    hint = (
        "With twelve clients hardly more than one call is under way. Which call waits without an "
        "await, and on which thread does FastAPI run the function it stands in?"
    )


class EncodesCallByCall(Failure):
    """FastAPI still looks at each value of the answer in Python."""

    hint = "What does FastAPI know of the answer's type, and who could tell it?"


@dataclass(frozen=True)
class Repair:
    """What is counted to see that a cause is gone.

    ``traffic`` asks the route, ``clients`` at a time in a race. A repaired app counts ``bound``
    or less; or more, if it is something that there should be ``more`` of.
    """

    failure: type[Failure]
    traffic: Request
    clients: int
    count: Callable[[Exam, Request], float]
    unit: str
    bound: float
    more: bool = False

    def holds(self, value: float) -> bool:
        """Whether so many are those of a repaired app."""
        return value >= self.bound if self.more else value <= self.bound

    @property
    def wanted(self) -> str:
        """The bound in words."""
        return f"{self.bound:g} {self.unit} or {'more' if self.more else 'fewer'}"


def _counted(name: str) -> Callable[[Exam, Request], float]:
    def count(exam: Exam, traffic: Request) -> float:
        return exam.count(exam.learner, traffic, requests=40, concurrency=2, same=True)[name]

    return count


def _encoded(exam: Exam, traffic: Request) -> float:
    return exam.encoder_calls(exam.learner, traffic, requests=10, concurrency=2)


def _awaited_at_once(exam: Exam, traffic: Request) -> float:
    """How many of a page's calls are under way at a time, from what a page takes."""
    result = exam.load(exam.learner, traffic, requests=15, concurrency=1)
    return OFFERS * CALL_SECONDS * 1e3 / result.percentile(50)


def _under_way(exam: Exam, traffic: Request) -> float:
    """Calls under way on average, by Little's law: throughput times what a call takes."""
    result = exam.load(exam.learner, traffic, seconds=0.6, concurrency=_CLIENTS)
    return result.throughput * CALL_SECONDS


#: By cause. Bounds lie far from both sides: 41 statements against 1, thousands of buffers against
#: some ten, 1 session against none, 1 call at a time against 4 of 5 or 8 of 12, 3000 calls of the
#: encoder against none.
REPAIRS: Mapping[str, Repair] = {
    "n_plus_one": Repair(
        AsksForEachRow,
        get(f"/newest?limit={_POSTS}"),
        4,
        _counted("SQL statements"),
        "statements a request",
        3,
    ),
    "missing_index": Repair(
        ReadsTheTable,
        get("/posts/{n}/comments", n=uniform(1, 100_000)),
        2,
        _counted("buffers"),
        "buffers a request",
        100,
    ),
    "connection_per_request": Repair(
        Connects,
        get("/users/{n}", n=uniform(1, 100_000)),
        4,
        _counted("PostgreSQL sessions"),
        "sessions a request",
        # A pool may still grow by a few connections while it is counted.
        0.2,
    ),
    "sequential_awaits": Repair(
        AwaitsInTurn,
        get("/offers/{n}", n=uniform(1, ARTICLES - OFFERS)),
        4,
        _awaited_at_once,
        f"of {OFFERS} calls at once",
        2,
        more=True,
    ),
    "blocked_loop": Repair(
        BlocksTheLoop,
        get("/orders/{n}?token=t{token}", n=uniform(1, 10**6), token=uniform(1, 10**6)),
        8,
        _under_way,
        f"calls at once for {_CLIENTS} clients",
        3,
        more=True,
    ),
    "slow_serialization": Repair(
        EncodesCallByCall,
        get("/members?after={n}", n=uniform(0, 90_000)),
        2,
        _encoded,
        "encoder calls a request",
        1,
    ),
}


@mechanism(points=3)
def mends_both(exam: Exam) -> Evidence:
    """Both causes are gone: what each makes too much of is counted at its route."""
    repairs = [REPAIRS[plant.cause] for plant in patient_in(exam).plants]
    counts = [repair.count(exam, repair.traffic) for repair in repairs]
    observed = "; ".join(
        f"{repair.traffic.describe()}: {count:,.1f} {repair.unit}"
        for repair, count in zip(repairs, counts, strict=True)
    )
    wanted = "; ".join(repair.wanted for repair in repairs)
    left = [r for r, count in zip(repairs, counts, strict=True) if not r.holds(count)]
    if left:
        raise left[0].failure(observed, wanted, credit=1 - len(left) / len(repairs))
    return Evidence(observed, wanted)
