"""The set-up of a check: candidates launched when needed, connections, and who is to blame."""

import contextlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from course_app.grading.candidate import Candidate
from course_app.grading.evidence import CouldNotCheck, Failure, NotAttempted
from course_app.grading.failures import (
    BlocksValkey,
    StoppedAnswering,
    TooManyThreads,
    WrongUnderLoad,
)
from course_app.grading.limits import Limits
from course_app.load import Generator, LoadResult, Request, Target, Workload, as_workload
from course_app.load.limits import LoadError
from course_app.measure.probes import Probe
from course_app.measure.probes.postgres import PostgresProbe
from course_app.measure.probes.valkey import ValkeyProbe

Traffic = str | Request | Workload
Launch = Callable[[str], Candidate]
T = TypeVar("T")

# Valkey says that it is busy after 5 s (busy-reply-threshold).
_BUSY_SECONDS = 8.0


class Bench:
    """Candidates by role, the generator, and a source of values that nobody can foresee.

    Args:
        launch: makes the candidate of a role.
        seed: what ``random`` and all values in requests follow from.
    """

    def __init__(self, launch: Launch, generator: Generator, limits: Limits, seed: int) -> None:
        self.generator = generator
        self.limits = limits
        self.seed = seed
        self.random = random.Random(seed)
        self._launch = launch
        self._candidates: dict[str, Candidate] = {}
        # Not by role: our own answer may stand in the learner's place.
        self._probes: dict[Candidate, list[Probe]] = {}
        self._stack = contextlib.ExitStack()

    @property
    def learner(self) -> Candidate:
        """The app that is judged."""
        return self.candidate("learner")

    @property
    def reference(self) -> Candidate:
        """A good answer."""
        return self.candidate("reference")

    @property
    def baseline(self) -> Candidate:
        """The app that the learner started from."""
        return self.candidate("baseline")

    def candidate(self, role: str) -> Candidate:
        """The candidate of that role; launched when it is first asked for."""
        if role not in self._candidates:
            candidate = self._candidates[role] = self._launch(role)
            self._stack.callback(candidate.close)
        return self._candidates[role]

    def prepare(self, *roles: str) -> None:
        """Launch candidates that will be needed and run their code, all at once.

        The reference is started, too: the first criterion asks it.
        """

        def load(role: str) -> None:
            candidate = self.candidate(role)
            # Code that does not run says so again to whoever asks for the app.
            with contextlib.suppress(Failure, NotAttempted):
                candidate.load()
                if role == "reference":
                    candidate.start()

        with ThreadPoolExecutor(len(roles)) as together:
            list(together.map(load, roles))  # raises what a launch raised

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter a context that is left at the end of the check, such as a server's."""
        return self._stack.enter_context(context)

    @contextlib.contextmanager
    def patient(self, seconds: float) -> Iterator[None]:
        """Meanwhile an answer may take so long."""
        before, self.limits = self.limits, replace(self.limits, request_seconds=seconds)
        try:
            yield
        finally:
            self.limits = before

    def new_seed(self) -> int:
        """A seed for a stream of requests that has not been sent yet."""
        return self.random.getrandbits(31)

    @contextlib.contextmanager
    def target(
        self,
        candidate: Candidate,
        traffic: Traffic,
        concurrency: int,
        seed: int,
        prepared: int = 1024,
    ) -> Iterator[Target]:
        """Connections of the generator to a candidate."""
        with self.blaming(candidate):
            target = self.generator.connect(
                candidate.url,
                as_workload(traffic),
                concurrency=concurrency,
                seed=seed,
                prepared_requests=prepared,
                timeout_seconds=self.limits.request_seconds,
            )
        # What is found while it is connected may be another candidate's failure.
        try:
            with self._blaming_for_silence(candidate):
                yield target
        finally:
            with contextlib.suppress(LoadError):
                self.generator.disconnect(target)

    @contextlib.contextmanager
    def blaming(self, candidate: Candidate) -> Iterator[None]:
        """Turn what goes wrong with a candidate into the learner's failure, or into ours."""
        try:
            with self._blaming_for_silence(candidate):
                yield
        except (Failure, NotAttempted) as problem:
            if candidate.role != "learner":
                raise CouldNotCheck(f"The {candidate.role} does not run: {problem}") from problem
            raise

    @contextlib.contextmanager
    def _blaming_for_silence(self, candidate: Candidate) -> Iterator[None]:
        try:
            yield
        except LoadError as error:
            if candidate.role != "learner":
                raise CouldNotCheck(f"The {candidate.role} does not answer: {error}") from error
            candidate.check_alive()
            self.not_written_yet()
            raise StoppedAnswering(str(error), "an answer") from error

    def refuse_errors(self, candidate: Candidate, result: LoadResult) -> None:
        """Raise WrongUnderLoad (CouldNotCheck for our own apps) if a request failed."""
        if not result.error_count:
            return
        example = str(result.errors[0]) if result.errors else "no answer"
        if candidate.role != "learner":
            raise CouldNotCheck(f"The {candidate.role} itself answers wrongly: {example}")
        candidate.check_alive()
        self.not_written_yet()
        if "can't start new thread" in candidate.log_tail():
            most = f"{self.limits.threads} threads"
            raise TooManyThreads(f"{example}: more than {most}", f"{most} at most")
        if not result.completed and set(result.errors_by_kind) == {"timeout"}:
            raise StoppedAnswering(example, f"an answer within {self.limits.request_seconds:g} s")
        share = f"{result.error_count} of {result.error_count + result.completed} requests"
        raise WrongUnderLoad(f"{share}: {example}", "every request answered as expected")

    def not_written_yet(self) -> None:
        """Raises NotAttempted if the learner's handler says that it is not written."""
        if "NotImplementedError" in self.learner.log_tail():
            raise NotAttempted

    def probes(self, candidate: Candidate) -> list[Probe]:
        """Probes on the candidate's own services; they count nothing before they are started."""
        if candidate not in self._probes:
            self._probes[candidate] = list(self._make_probes(candidate))
        return self._probes[candidate]

    def require_services(self) -> None:
        """See that each candidate's PostgreSQL and Valkey still answer.

        Raises:
            BlocksValkey: a script without an end is why; none of ours is like that.
            CouldNotCheck: they do not.
        """
        for candidate in self._candidates.values():
            space = candidate.workspace
            try:
                if space.reader_dsn:
                    psycopg.connect(space.reader_dsn, connect_timeout=3).close()
                if space.owner_valkey_url:
                    redis.Redis.from_url(space.owner_valkey_url, socket_timeout=3).ping()
            except (psycopg.Error, redis.RedisError) as error:
                if space.owner_valkey_url and _ended_a_script(space.owner_valkey_url):
                    raise BlocksValkey("no answer from Valkey", "scripts that end") from error
                raise CouldNotCheck(f"The services went away during the check: {error}") from error

    def require_reference(self) -> None:
        """Raises CouldNotCheck if the reference does not start here either."""
        with self.blaming(self.reference):
            self.reference.url  # noqa: B018  starts it, if it does not run yet

    def close(self) -> None:
        """End all candidates."""
        self._stack.close()

    def _make_probes(self, candidate: Candidate) -> Iterator[Any]:
        space = candidate.workspace
        if space.reader_dsn:
            # Where the check has no user of its own, its statements are known by their text.
            user = space.user if space.reader_dsn_is_apart else ""
            postgres = PostgresProbe(space.reader_dsn, user=user, count_control=False)
            self._stack.callback(postgres.close)
            yield postgres
        if space.owner_valkey_url:
            valkey = ValkeyProbe(space.owner_valkey_url)
            self._stack.callback(valkey.close)
            yield valkey


def _ended_a_script(url: str) -> bool:
    """Whether Valkey was busy with a script; it is ended, if it has not written yet."""
    with redis.Redis.from_url(url, socket_timeout=_BUSY_SECONDS, retry=Retry(NoBackoff(), 0)) as it:
        try:
            it.ping()
        except redis.ResponseError as error:
            with contextlib.suppress(redis.RedisError):
                it.script_kill()
            return str(error).startswith("BUSY")
        except redis.RedisError:
            return False
    return False
