"""An app under check, as criteria see it: an address, its services, its costs.

There are two kinds: served by a thread of this process (the notebook's door) and in a
process of its own (the instructor's door). Criteria use only what both have.
"""

import io
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import TypeVar

import psutil
import psycopg

from course_app.grading.answers import NotAnAnswer, make_app
from course_app.grading.evidence import CouldNotCheck, Failure, NotAttempted
from course_app.grading.failures import DoesNotStart, OnAnotherLoop, WrongKindOfAnswer
from course_app.grading.limits import Limits
from course_app.grading.workspace import CHECK_NAME, Workspace
from course_app.measure.probes.encoder import EncoderProbe
from course_app.serving import AppFailedToStart, ThreadServer
from course_app.system import usage
from course_app.system.waiting import wait_until

Number = TypeVar("Number", int, float)

# By user, because the check has connections to the same database, too. Where both are the same
# user (somebody else's server), the check's are known by their name.
_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = %(user)s AND pid <> pg_backend_pid()
    AND NOT (usename = current_user AND application_name = %(check)s)
"""
_LOST_SESSIONS = """
SELECT sessions_abandoned FROM pg_stat_database WHERE datname = current_database()
"""


#: What asyncio and its libraries say of an object that another event loop has made.
_ANOTHER_LOOP = ("different loop", "different event loop", "another event loop")


class Candidate(ABC):
    """The learner's app, the reference or the baseline.

    Args:
        role: ``learner``, ``reference`` or ``baseline``.
        workspace: its own database and Valkey.
    """

    def __init__(self, role: str, workspace: Workspace) -> None:
        self.role = role
        self.workspace = workspace

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it answers. It may be another address after a restart."""

    @abstractmethod
    def load(self) -> None:
        """Run the code that defines the app, once; nothing where that has been done.

        Raises:
            NotAttempted: it defines no answer.
            Failure: it cannot be run, or not within the limits.
        """

    @abstractmethod
    def start(self) -> None:
        """Start the app with its lifespan.

        Raises:
            NotAttempted: there is no answer yet.
            Failure: it cannot be started; the reference's failure is CouldNotCheck.
        """

    @abstractmethod
    def stop(self) -> float:
        """Shut the app down as a deployment does, lifespan included; returns the seconds it took.

        The process around it lives on, so what the app left open is still open.
        """

    @abstractmethod
    def cpu_seconds(self) -> float:
        """CPU that serving has used so far.

        Raises:
            CouldNotCheck: the system does not tell.
        """

    @abstractmethod
    def memory_bytes(self) -> int:
        """Memory of the process around the app; only differences mean something.

        Raises:
            CouldNotCheck: the system does not tell.
        """

    @abstractmethod
    def helpers(self) -> set[int]:
        """Process ids of what the server's process has started, itself or by others, and runs."""

    @abstractmethod
    def log_tail(self) -> str:
        """The end of what the app printed, errors of handlers included."""

    @abstractmethod
    def start_counting_encoder_calls(self) -> None:
        """Count calls of FastAPI's ``jsonable_encoder`` in the app's process from now on."""

    @abstractmethod
    def encoder_calls(self) -> float:
        """How many there were; counting ends.

        The process around the app says so itself, and a submission could have a word in it: no
        point may rest on this alone.
        """

    @abstractmethod
    def check_alive(self) -> None:
        """Raises the failure that explains why nothing answers any more, if there is one."""

    def frozen(self) -> AbstractContextManager[None]:
        """While another app is measured: nothing of this one runs, where it has its own process."""
        return nullcontext()

    @abstractmethod
    def another(self, workspace: Workspace | None = None) -> "Candidate":
        """A further instance of the app on the same services, as another worker would be.

        Args:
            workspace: the same services by other addresses.
        """

    @abstractmethod
    def close(self) -> None:
        """End it, whatever state it is in."""

    def restart(self) -> None:
        """Stop, then start again: what the app kept in memory is gone."""
        self.stop()
        self.start()

    def connections(self) -> int:
        """Connections that are open to the app's database now, but for the check's own.

        Raises:
            CouldNotCheck: PostgreSQL does not answer.
        """
        return self._asked(_CONNECTIONS)

    def connections_after(self, seconds: float) -> int:
        """Wait until no connection is open, for so long; returns how many are."""
        return 0 if wait_until(lambda: not self.connections(), seconds) else self.connections()

    def connections_left_by_stop(self, seconds: float = 2.0) -> int:
        """Stop the app; how many connections were still open then, or cut off instead of closed.

        What a process leaves open ends with its event loop, but PostgreSQL tells a session that
        said goodbye from one that was lost.
        """
        lost_before = self._asked(_LOST_SESSIONS)
        self.stop()
        still_open = self.connections_after(seconds)
        return still_open + self._asked(_LOST_SESSIONS) - lost_before

    @contextmanager
    def counting(self) -> Iterator[Callable[[], int]]:
        """A function like :meth:`connections` that can be called again and again.

        It keeps its own connection, because in a crush a new one would come too late.

        Raises:
            CouldNotCheck: PostgreSQL does not answer, also while the context is open.
        """
        with self._asking() as ask:
            yield lambda: ask(_CONNECTIONS)

    def _asked(self, query: str) -> int:
        with self._asking() as ask:
            return ask(query)

    @contextmanager
    def _asking(self) -> Iterator[Callable[[str], int]]:
        values = {"user": self.workspace.user, "check": CHECK_NAME}
        with _postgres_answers():
            connection = psycopg.connect(self.workspace.reader_dsn or "", autocommit=True)

        def ask(query: str) -> int:
            with _postgres_answers():
                row = connection.execute(query.encode(), values).fetchone()
            return int(row[0]) if row else 0

        with closing(connection):
            yield ask


@contextmanager
def _postgres_answers() -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise CouldNotCheck(f"PostgreSQL does not answer: {error}") from error


class ThreadCandidate(Candidate):
    """An app served by a thread of this process, so that a notebook's own objects answer."""

    def __init__(
        self, role: str, workspace: Workspace, answer: object, limits: Limits, log: "TailBuffer"
    ) -> None:
        super().__init__(role, workspace)
        self._answer = answer
        self._limits = limits
        self._log = log
        self._server: ThreadServer | None = None
        self._encoder = EncoderProbe()

    @property
    def url(self) -> str:
        return self._running().url

    def load(self) -> None:
        """The notebook has run it."""

    def start(self) -> None:
        try:
            # A function, so that the server calls create_app on its own loop, as uvicorn does.
            self._server = ThreadServer(
                lambda: make_app(self._answer, self.workspace.given),
                name=self.role,
                startup_timeout_seconds=self._limits.start_seconds,
            )
        except AppFailedToStart as error:
            raise not_started(str(error), error.original) from error

    def stop(self) -> float:
        began = time.monotonic()
        if self._server is not None:
            self._server.stop()
        return time.monotonic() - began

    def cpu_seconds(self) -> float:
        # All threads but this one: `def` handlers work in a pool of threads of their own.
        return time.process_time() - time.thread_time()

    def memory_bytes(self) -> int:
        return known(usage.own_memory_bytes(os.getpid()), "memory")

    def helpers(self) -> set[int]:
        return {process.pid for process in psutil.Process().children(recursive=True)}

    def log_tail(self) -> str:
        return self._log.getvalue()

    def start_counting_encoder_calls(self) -> None:
        self._encoder.start()

    def encoder_calls(self) -> float:
        return self._encoder.stop()[0].value

    def check_alive(self) -> None:
        """A thread that ended cannot say why: the requests that failed do."""

    def another(self, workspace: Workspace | None = None) -> Candidate:
        workspace = workspace or self.workspace
        return ThreadCandidate(self.role, workspace, self._answer, self._limits, self._log)

    def close(self) -> None:
        self.stop()

    def _running(self) -> ThreadServer:
        if self._server is None:
            self.start()
        assert self._server is not None
        return self._server


def known(reading: Number | None, what: str) -> Number:
    """A reading of a process, if there is one.

    Raises:
        CouldNotCheck: the system does not tell. Zero would be a lie that an app profits from.
    """
    if reading is None:
        raise CouldNotCheck(
            f"The {what} of the app's process cannot be read on this system, so this criterion "
            "cannot be checked here. The others can; check this one on Linux or macOS."
        )
    return reading


def not_started(text: str, error: BaseException | None = None) -> Failure | NotAttempted:
    """What a learner can act on, of an app that did not start."""
    if isinstance(error, NotAttempted | NotImplementedError):
        return NotAttempted()
    if isinstance(error, NotAnAnswer):
        return WrongKindOfAnswer(str(error), "an ASGI app, or create_app")
    if any(words in text for words in _ANOTHER_LOOP):
        return OnAnotherLoop(text, "an app that makes what it needs itself")
    return DoesNotStart(text, "an app that starts")


class TailBuffer(io.TextIOBase):
    """Takes everything that is printed and keeps the end of it."""

    def __init__(self, most_characters: int = 20_000) -> None:
        self._most = most_characters
        self._text = ""

    def write(self, text: str) -> int:
        """Keep the end of what has been written so far."""
        self._text = (self._text + text)[-self._most :]
        return len(text)

    def getvalue(self) -> str:
        """What has been kept."""
        return self._text
