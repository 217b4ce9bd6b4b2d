"""Grading: rubrics in, scorecards out. How to write an exercise, on one screen.

An exercise is a module of :mod:`course_app.exercises` that declares ``exercise``::

    READS = mix(
        get("/users/{id}", id=uniform(1, 100_000), weight=9),
        get("/users/{id}", id=uniform(200_000, 900_000), expect_status=404),
    )

    class OpensConnections(Failure):
        '''Requests still open connections of their own.'''      # what the learner reads
        hint = "Who could open connections before the first request comes?"

    @contract(points=3)                      # then: mechanism, speed, hygiene, in this order
    def same_answers(exam: Exam) -> Evidence:
        '''Every answer is as before, also for users who do not exist.'''     # its title
        return exam.same_answers(READS)

    @mechanism(points=4)
    def no_sessions(exam: Exam) -> Evidence:
        '''No request opens a connection to PostgreSQL.'''
        sessions = exam.count(exam.learner, READS)["PostgreSQL sessions"]
        observed, wanted = f"{sessions:.2f} sessions a request", "none"
        if sessions > 0.05:
            raise OpensConnections(observed, wanted)
        return Evidence(observed, wanted)

    @speed(points=3)
    def faster(exam: Exam) -> Evidence:
        '''At least half of the reference's gain, 16 requests at a time.'''
        return exam.speed(READS, concurrency=16)

    exercise = Exercise(
        slug="04_connection_pooling",
        title="Connect once, not for each request",
        baseline=create_baseline,            # def create_baseline(postgres_dsn: str) -> FastAPI
        reference=create_reference,
        rubric=(same_answers, no_sessions, faster),
        given=(same_answers,),               # the baseline fulfils it: no points for that alone
        hints=("...", "..."),
        wrong_answers=(
            WrongAnswer("as it was", create_baseline, OpensConnections, points=0),
            WrongAnswer("pool per request", create_many_pools, OpensConnections),
        ),
        right_answers=(RightAnswer("psycopg", create_psycopg_pool),),
    )

``get`` and ``mix`` come from :mod:`course_app.load`; failures that any exercise can meet stand in
:mod:`course_app.grading.failures`.

Factories are plain functions of a module; they ask for ``postgres_dsn`` and ``valkey_url`` by name.
A criterion returns :class:`Evidence` or raises a :class:`Failure`. Whatever else it raises is the
answer's fault if our own answer gets through the same criterion, else *could not check*. It
sends requests, whose values are new for each call, by

* ``exam.same_answers(traffic, count)``: equal to the reference's (``same=`` compares your way);
* ``exam.ask(candidate, traffic, count)``: whole responses, one request after another;
* ``exam.load(candidate, traffic, requests=, concurrency=)``: any wrong answer is a failure;
* ``exam.count(candidate, traffic)``: statements, sessions, cache hits, bytes, CPU a request;
* ``exam.encoder_calls(candidate, traffic)``: how often FastAPI's ``jsonable_encoder`` is called;
* ``exam.overlap(candidate, requests, gap_seconds)``: whole answers and what each client waited;
* ``exam.watched_connections(candidate)``: a list that fills with how many are open meanwhile;
* ``exam.workers(candidate, count)``: more instances of the app on the same services;
* ``exam.far_worker(candidate)``: one more, and the wire that delays its PostgreSQL;
* ``exam.speed(traffic, concurrency=, metric="p50" or "cpu")``;
* ``exam.generator``, for any other load, over the connections of ``exam.target(candidate, traffic,
  concurrency, exam.new_seed())``; whose fault what goes wrong is, ``exam.blaming(candidate)`` and
  ``exam.refuse_errors(candidate, result)`` know.

Candidates are ``exam.learner``, ``exam.reference`` and ``exam.baseline``. Each can ``restart()``
and ``stop()``, knows its ``url``, ``cpu_seconds()``, ``memory_bytes()``, ``connections()`` and
``connections_left_by_stop()``, and has a database of its own: ``workspace.execute(query)`` works
on it behind the app's back (``exam.write(query)`` on the learner's and the reference's alike),
``workspace.locked(table, seconds)`` makes the app wait, ``workspace.valkey_away()`` takes Valkey
away from it (if the exercise says that it can). Draw from ``exam.random`` what must not be
foreseen; ``exam.values`` is what was handed in beside the app.
What several criteria need is made by ``exam.once(make)``: ``make(exam)``, when first asked for.
Points add up to ten. ``course verify`` proves the exercise.
"""

from typing import TYPE_CHECKING, Any

from course_app.grading.evidence import (
    CannotTell,
    CouldNotCheck,
    Evidence,
    Failure,
    Kind,
    NotAttempted,
    Outcome,
)
from course_app.grading.rubric import (
    Changed,
    Criterion,
    Exercise,
    RightAnswer,
    WrongAnswer,
    contract,
    hygiene,
    mechanism,
    speed,
)

if TYPE_CHECKING:
    from course_app.grading.candidate import Candidate
    from course_app.grading.engine import Checker
    from course_app.grading.exam import Exam
    from course_app.grading.limits import Limits
    from course_app.grading.progress import ProgressStore, Standing
    from course_app.grading.proofs import Proof, verify
    from course_app.grading.scorecard import CriterionResult, Scorecard

__all__ = [
    "Candidate",
    "CannotTell",
    "Changed",
    "Checker",
    "CouldNotCheck",
    "Criterion",
    "CriterionResult",
    "Evidence",
    "Exam",
    "Exercise",
    "Failure",
    "Kind",
    "Limits",
    "NotAttempted",
    "Outcome",
    "ProgressStore",
    "Proof",
    "RightAnswer",
    "Scorecard",
    "Standing",
    "WrongAnswer",
    "contract",
    "hygiene",
    "mechanism",
    "speed",
    "verify",
]

# A submission's process imports this package too, and must not pay for what it does not use.
_ELSEWHERE = {
    "Candidate": "candidate",
    "Checker": "engine",
    "CriterionResult": "scorecard",
    "Exam": "exam",
    "Limits": "limits",
    "ProgressStore": "progress",
    "Proof": "proofs",
    "Scorecard": "scorecard",
    "Standing": "progress",
    "verify": "proofs",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
