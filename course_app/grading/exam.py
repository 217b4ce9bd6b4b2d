"""What a criterion works with: the three apps, and ways to ask, count and compare them."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from course_app.grading.bench import Bench, Launch, Traffic
from course_app.grading.candidate import Candidate
from course_app.grading.evidence import CouldNotCheck, Evidence
from course_app.grading.failures import DifferentAnswer
from course_app.grading.limits import Limits
from course_app.grading.overlap import Timed, overlap
from course_app.load import Generator, LoadResult, Response, Target, Workload, as_workload
from course_app.load.limits import loopback_address
from course_app.measure.answers import Same, excerpt, same_answer
from course_app.measure.probes import Counts, Reading
from course_app.network import Wire

#: Of the answers that are counted so many are looked at: one invented in ten is found in half of
#: the checks, half of them in all.
_COUNTED_AND_COMPARED = 8

Progress = Callable[[str], None]
T = TypeVar("T")


class Exam(Bench):
    """One check in progress: ``learner``, ``reference`` and ``baseline``, and what to do with them.

    All requests come from the course's load generator, whatever they are for, and values are
    drawn anew for each use.

    Args:
        values: what was handed in beside the app, by name.
        progress: takes a few words between two measurements.
    """

    def __init__(
        self,
        launch: Launch,
        generator: Generator,
        *,
        limits: Limits,
        seed: int,
        values: Mapping[str, Any],
        progress: Progress,
    ) -> None:
        super().__init__(launch, generator, limits, seed)
        self.values = values
        self.progress = progress
        self._workers: dict[Candidate, list[Candidate]] = {}
        self._last: Response | None = None
        self._made: dict[Callable[[Exam], Any], Any] = {}

    @contextlib.contextmanager
    def of_reference(self, values: Mapping[str, Any]) -> Iterator["Exam"]:
        """An exam of its own in which the reference stands in the learner's place."""

        def launch(role: str) -> Candidate:
            return self._launch("reference" if role == "learner" else role)

        exam = Exam(
            launch,
            self.generator,
            limits=self.limits,
            seed=self.new_seed(),
            values=values,
            progress=self.progress,
        )
        with contextlib.closing(exam):
            yield exam

    def once(self, make: Callable[["Exam"], T]) -> T:
        """What ``make`` gives for this exam: made when first asked for; again, if that raised."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    def last_answer(self) -> str:
        """The learner's last answer of which the whole was asked for, in words."""
        if self._last is None:
            return "no answer"
        line = self._last.request_text.partition("\r\n")[0].removesuffix(" HTTP/1.1")
        return f"{line}: {excerpt(self._last)}"

    def workers(self, candidate: Candidate, count: int) -> list[Candidate]:
        """The candidate and more instances of its app on the same services, ``count`` in all.

        Each has its own memory, as far as the door can give it one: its own process, or what
        ``create_app`` makes anew.
        """
        others = self._workers.setdefault(candidate, [])
        while len(others) < count - 1:
            others.append(candidate.another())
            self._stack.callback(others[-1].close)
        return [candidate, *others[: count - 1]]

    @contextlib.contextmanager
    def learner_frozen(self) -> Iterator[None]:
        """Nothing that was started for the learner's app runs, where it has its own process."""
        with contextlib.ExitStack() as stack:
            for candidate in self._learners():
                stack.enter_context(candidate.frozen())
            yield

    def alone(self, candidate: Candidate) -> contextlib.AbstractContextManager[None]:
        """While a candidate is measured, keep the learner's app from working beside it.

        It would slow others down, or may still have a line to serve. Ours have no reason to, and
        freezing takes some milliseconds.
        """
        # Not by its role: the reference may stand in the learner's place.
        is_learner = candidate in self._learners()
        return contextlib.nullcontext() if is_learner else self.learner_frozen()

    def _learners(self) -> list[Candidate]:
        return [self.learner, *self._workers.get(self.learner, ())]

    def far_worker(self, candidate: Candidate) -> tuple[Candidate, Wire]:
        """One more instance of the app, and the wire by which it reaches its PostgreSQL.

        With ``wire.delay_ms`` its statements are carried out late, and their answers come later
        still: so it reads what is no longer true when it has read it.
        """
        name = "postgres"
        wire = self.enter(Wire({name: candidate.workspace.postgres_dsn or ""}))
        far = candidate.another(replace(candidate.workspace, postgres_dsn=wire.url(name)))
        self._stack.callback(far.close)
        return far, wire

    def write(self, query: str, *values: object) -> None:
        """The same change in the learner's and in the reference's database, behind their backs.

        Raises:
            psycopg.Error: the statement is wrong, or PostgreSQL does not answer.
        """
        spaces = [candidate.workspace for candidate in (self.learner, self.reference)]
        with ThreadPoolExecutor(len(spaces)) as together:
            list(together.map(lambda space: space.execute(query, *values), spaces))

    def ask(self, candidate: Candidate, traffic: Traffic, count: int = 1) -> list[Response]:
        """Send ``count`` requests one after another."""
        return self._answers(candidate, as_workload(traffic), count, self.new_seed())

    def overlap(
        self, candidate: Candidate, requests: Sequence[Traffic], gap_seconds: float = 0.0
    ) -> list[Timed]:
        """Send a request every ``gap_seconds``; whole answers, and what each client waited."""
        with self.blaming(candidate):
            host, port = address = loopback_address(candidate.url)
            payloads = [
                as_workload(each).render(1, self.new_seed(), f"{host}:{port}")[0][0]
                for each in requests
            ]
            return overlap(address, payloads, gap_seconds, self.limits.request_seconds)

    def same_answers(self, traffic: Traffic, count: int = 40, *, same: Same = True) -> Evidence:
        """The learner's and the reference's answers to the same requests are equal.

        Args:
            same: a function of two responses, for answers that may differ (in a time stamp, say).

        Raises:
            DifferentAnswer: with the first request that was answered differently.
            CouldNotCheck: the reference's own status is not one that the workload expects.
        """
        workload, seed = as_workload(traffic), self.new_seed()
        got = self._answers(self.learner, workload, count, seed)
        wanted = self._answers(self.reference, workload, count, seed)
        _require_expected(workload, seed, wanted)
        self.compare(got, wanted, same)
        return Evidence(f"{count} of {count} equal", "the reference's answers")

    def compare(
        self, got: Sequence[Response], wanted: Sequence[Response], same: Same = True
    ) -> None:
        """Compare answers one by one. Raises DifferentAnswer for the first that differs."""
        if same is False:
            return
        equal = same_answer if same is True else same
        for mine, theirs in zip(got, wanted, strict=True):
            if not equal(mine, theirs):
                self.learner.check_alive()
                self.not_written_yet()
                line = mine.request_text.partition("\r\n")[0].removesuffix(" HTTP/1.1")
                raise DifferentAnswer(f"{line}: {excerpt(mine)}", excerpt(theirs))

    def compare_kept(self, result: LoadResult, reference: Target, same: Same) -> None:
        """Compare the answers that a window kept with the reference's to the same requests.

        Raises:
            DifferentAnswer: with the first that differs.
        """
        if result.kept and not reference.workload.endless:
            numbers = [answer.number for answer in result.kept]
            with self.blaming(self.reference):
                wanted = self.generator.sample(reference, numbers=numbers)
            self.compare(result.kept, wanted, same)

    def load(
        self,
        candidate: Candidate,
        traffic: Traffic,
        *,
        requests: int | None = None,
        seconds: float | None = None,
        concurrency: int = 16,
    ) -> LoadResult:
        """Send requests, ``concurrency`` at a time.

        Raises:
            WrongUnderLoad: the learner's app answered one of them with a status or a body that
                the workload does not expect, or not at all.
        """
        with self.target(candidate, traffic, concurrency, self.new_seed()) as target:
            result = self.generator.closed(target, requests=requests, seconds=seconds)
        self.refuse_errors(candidate, result)
        return result

    def count(
        self,
        candidate: Candidate,
        traffic: Traffic,
        *,
        requests: int = 200,
        concurrency: int = 8,
        warmup_requests: int | None = None,
        same: Same = False,
    ) -> Counts:
        """Count what requests cause, per request.

        Names of counts: ``"SQL statements"``, ``"rows"``, ``"buffers"``, ``"PostgreSQL
        sessions"``, ``"PostgreSQL connections used"``, ``"Valkey commands"``, ``"Valkey round
        trips"``, ``"Valkey connections opened"``, ``"cache hits"``, ``"cache misses"`` (see
        :mod:`course_app.measure.probes`), ``"HTTP bytes received"`` and ``"CPU"`` in µs. The
        last is missing where the system does not tell it.

        Args:
            warmup_requests: sent before counting, so that pools are open and caches are warm;
                two for each connection if not given.
            same: as for :meth:`same_answers`; where given, some of the answers that were counted
                are compared with the reference's, drawn so that no app can know which.

        Raises:
            WrongUnderLoad: as for :meth:`load`.
            DifferentAnswer: as for :meth:`same_answers`.
        """
        warmup = 2 * concurrency if warmup_requests is None else warmup_requests
        probes = self.probes(candidate)
        keep = 0 if same is False or candidate is self.reference else _COUNTED_AND_COMPARED
        seed = self.new_seed()
        with self.target(candidate, traffic, concurrency, seed) as target:
            if warmup:
                self.refuse_errors(candidate, self.generator.closed(target, requests=warmup))
            for probe in probes:
                probe.start()
            cpu_before = _cpu_seconds(candidate)
            result = self.generator.closed(target, requests=requests, keep=keep)
            cpu_after = _cpu_seconds(candidate)
            readings = [reading for probe in reversed(probes) for reading in probe.stop()]
        self.refuse_errors(candidate, result)
        if keep:
            with self.target(self.reference, traffic, 1, seed) as reference:
                self.compare_kept(result, reference, same)
        readings.append(Reading("HTTP bytes received", float(result.bytes_received), unit="B"))
        if cpu_before is not None and cpu_after is not None and cpu_after > cpu_before:
            readings.append(Reading("CPU", (cpu_after - cpu_before) * 1e6, unit="µs"))
        return Counts(result.completed, tuple(readings))

    def encoder_calls(
        self, candidate: Candidate, traffic: Traffic, *, requests: int = 40, concurrency: int = 4
    ) -> float:
        """Calls of FastAPI's ``jsonable_encoder`` a request, as the app's own process counts them.

        A submission could meddle with that: look at the CPU of a request as well.

        Raises:
            WrongUnderLoad: as for :meth:`load`.
        """
        candidate.start_counting_encoder_calls()
        try:
            result = self.load(candidate, traffic, requests=requests, concurrency=concurrency)
        finally:
            calls = candidate.encoder_calls()
        return calls / max(result.completed, 1)

    @contextlib.contextmanager
    def watched_connections(self, candidate: Candidate) -> Iterator[list[int]]:
        """Fill a list with the number of PostgreSQL connections, again and again."""
        seen: list[int] = []
        done = threading.Event()

        def watch() -> None:
            # Without PostgreSQL it ends, and what comes next finds that out, too.
            with contextlib.suppress(CouldNotCheck):
                while not done.wait(0.01):
                    seen.append(connections())

        with candidate.counting() as connections:
            thread = threading.Thread(target=watch, daemon=True)
            thread.start()
            try:
                yield seen
            finally:
                done.set()
                thread.join()

    def speed(
        self,
        traffic: Traffic,
        *,
        concurrency: int = 16,
        metric: str = "p50",
        same: Same = True,
        bar: float | None = None,
    ) -> Evidence:
        """At least half of the reference's gain over the baseline, on a logarithmic scale.

        Args:
            metric: ``p50`` (what a client waits) or ``cpu`` (what a request costs the server).
            same: as for :meth:`same_answers`; answers are compared under load, too.
            bar: the share that passes; one half if not given.

        Raises:
            TooLittleGain: clearly less than that.
            CannotTell: the machine is too noisy for a verdict.
        """
        # scipy takes half a second to import, which a submission's process need not spend
        from course_app.grading.race import Race

        return Race(self, as_workload(traffic), concurrency, metric, same).run(bar)

    def _answers(
        self, candidate: Candidate, workload: Workload, count: int, seed: int
    ) -> list[Response]:
        with self.target(candidate, workload, 1, seed, prepared=count) as target:
            answers = list(self.generator.sample(target, count))
        if candidate.role == "learner" and answers:
            self._last = answers[-1]
        return answers


def _cpu_seconds(candidate: Candidate) -> float | None:
    with contextlib.suppress(CouldNotCheck):
        return candidate.cpu_seconds()
    return None


def _require_expected(workload: Workload, seed: int, answers: Sequence[Response]) -> None:
    _, kinds = workload.render(len(answers), seed, "")
    for kind, answer in zip(kinds, answers, strict=True):
        if answer.status not in workload.requests[kind].expect_status:
            line = answer.request_text.partition("\r\n")[0]
            raise CouldNotCheck(f"The reference itself answers {line} with {excerpt(answer)}.")
