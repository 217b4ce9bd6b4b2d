"""The one object that a lesson talks to. It ties the rooms together and decides nothing itself.

Every call blocks in a pipe read until the measurement is done, so that the server's thread
has the interpreter to itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from types import EllipsisType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import nest_asyncio2
import uvloop  # noqa: F401  see below
from IPython.core.getipython import get_ipython
from IPython.display import display

from course_app.claims import claim_text
from course_app.dataset import ROWS
from course_app.load import (
    NEVER,
    Generator,
    NobodyListens,
    Request,
    Retries,
    Workload,
    as_workload,
    choice,
    delete,
    get,
    mix,
    patch,
    post,
    put,
    sequence,
    uniform,
    zipf,
)
from course_app.load.swarm import run_swarm
from course_app.measure.answers import Same, reads_only
from course_app.measure.bystanders import Bystanders, Scene, bystanders
from course_app.measure.calls import CallComparison, Client, compare_calls
from course_app.measure.claim import ClaimVerdict, speedup_of
from course_app.measure.compare import MOST_ROUNDS, compare_requests, compare_windows
from course_app.measure.comparison import METRICS, Comparison
from course_app.measure.lag import LoopLag, loop_lag
from course_app.measure.load_test import LoadTest
from course_app.measure.machine import machine_card
from course_app.measure.measurement import Measurement, measure
from course_app.measure.noise import NoiseMeter
from course_app.measure.pace import paced
from course_app.measure.prediction import Prediction
from course_app.measure.probes import Probe
from course_app.measure.probes.asgi import ASGIApp, InFlight, Stamps
from course_app.measure.probes.loop import LoopProbe
from course_app.measure.probes.postgres import PostgresProbe
from course_app.measure.probes.valkey import ValkeyProbe
from course_app.measure.profile import FlameGraph, profile
from course_app.measure.replay import Replay, replay
from course_app.measure.statistics import WORTH_A_CHANGE, Interval
from course_app.measure.subject import Subject, connect
from course_app.measure.sweep import Sweep, sweep
from course_app.measure.tap import WireTap
from course_app.measure.timeline import Timeline, timeline
from course_app.measure.trace import Trace, trace
from course_app.measure.visitors import Door, Phases, Visitors, visitors
from course_app.network import Wire
from course_app.plots import Figure, plot_calibration
from course_app.predictions import Predictions
from course_app.progress import ProgressLine
from course_app.services import start_services
from course_app.services.mongodb import MongoDB, start_mongodb
from course_app.serving import ProcessServer, Program, QueueWorker, ThreadServer
from course_app.serving.loops import LoopName
from course_app.words import amount

if TYPE_CHECKING:
    from course_app.examine.findings import Report

__all__ = [
    "Lab",
    "Retries",
    "choice",
    "delete",
    "get",
    "mix",
    "patch",
    "post",
    "put",
    "sequence",
    "uniform",
    "zipf",
]

# So that `asyncio.run(...)` in a lesson means the same in a notebook and in a script. Its
# predecessor nest_asyncio loses the cells that wait behind such a call ("Run All"): it lets
# the kernel's next task step inside a context that is entered already. Up to Python 3.13 both put
# a slow task class written in Python in the place of asyncio's own. uvloop keeps the class
# that it finds when it is imported, so it has to be imported before, and servers stay fast.
nest_asyncio2.apply()

#: So many bystanders can be under way; more of them would wait at their client.
_BYSTANDERS_AT_ONCE = 64

#: Many workers that import at the same time on a few busy cores take their time.
_WORKERS_START_SECONDS = 60.0

Server = ThreadServer | ProcessServer
App = ASGIApp | Server
Traffic = str | Request | Workload
P = ParamSpec("P")
R = TypeVar("R")


def _told(method: Callable[P, R]) -> Callable[P, R]:
    """Print what a notebook would show: a script does not show a cell's last expression."""

    @wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> R:
        result = method(*args, **options)
        if get_ipython() is None:
            print(f"{result}\n")
        return result

    return call


class Lab:
    """A laboratory: PostgreSQL with the blog's data, Valkey, a load generator, and probes.

    Args:
        lesson: the number of a lesson, under which predictions are kept; elsewhere they are not.

    Attributes:
        postgres_dsn: the lab's own database, with the data set.
        valkey_url: the lab's own Valkey database.
        users, posts, comments, tags: rows in the tables of these names.

    Raises:
        CourseError: the services did not start; the message says what to do.
    """

    _open: "Lab | None" = None

    def __init__(self, lesson: str = "") -> None:
        self._lesson = lesson
        # Running a notebook's first cell again starts anew, it does not pile up servers.
        if Lab._open is not None:
            Lab._open.close()
        with ProgressLine("Starting PostgreSQL and Valkey"):
            self._stack = ExitStack()
            self.services = self._stack.enter_context(start_services())
            self.generator = self._stack.enter_context(Generator())
            self._second_generator = self._stack.enter_context(Generator())
        Lab._open = self
        self.postgres_dsn = self.services.postgres_dsn
        self.valkey_url = self.services.valkey_url
        self.users, self.posts, self.comments, self.tags = (
            ROWS[table] for table in ("users", "posts", "comments", "tags")
        )
        self._postgres = PostgresProbe(self.postgres_dsn)
        self._valkey = ValkeyProbe(self.valkey_url)
        self._stack.callback(self._postgres.close)
        self._stack.callback(self._valkey.close)
        self._further_probes: list[Probe] = []
        self.card = machine_card(self.services.postgres_version, self.services.valkey_version)
        display(self.card)  # type: ignore[no-untyped-call]
        self._noise = NoiseMeter()
        self._noise.resume()

    def close(self) -> None:
        """Stop everything that the lab started. The end of the process does it too."""
        self._stack.close()
        if Lab._open is self:
            Lab._open = None

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def serve(self, app: ASGIApp, name: str = "app", loop: LoopName = "uvloop") -> ThreadServer:
        """Serve an app in a thread of this process; use it in a ``with`` statement.

        Args:
            app: an ASGI app.
            name: what results call it.
            loop: ``uvloop`` or ``asyncio``.

        Example:
            with lab.serve(fast) as server:
                print(httpx.get(f"{server.url}/users/1").json())
        """
        return ThreadServer(app, name=name, loop=loop)

    def serve_processes(
        self,
        app: str,
        *,
        program: Program = "uvicorn",
        workers: int = 1,
        env: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> ProcessServer:
        """Serve an app by worker processes, until its ``stop()`` or the end of the lab.

        Args:
            app: "package.module:name", because each worker imports it anew.
            program: ``uvicorn``, ``gunicorn`` (with uvicorn-worker), ``hypercorn``, ``granian``.
            env: variables for the app, besides those of this process.

        Example:
            two = lab.serve_processes("course_app.apps.hello:app", workers=2)
            lab.measure(two, "/hello", concurrency=32)
            two.stop()
        """
        name = name or f"{program} x {workers}"
        with ProgressLine(f"Starting {name}"):
            server = ProcessServer(
                app,
                name=name,
                program=program,
                workers=workers,
                env=env,
                startup_timeout_seconds=_WORKERS_START_SECONDS,
            )
        self._stack.callback(server.stop)
        return server

    def queue_worker(self, settings: str, *, env: Mapping[str, str] | None = None) -> QueueWorker:
        """Start a worker of an arq queue, until its ``stop()`` or the end of the lab.

        Args:
            settings: "package.module.Class", because the worker imports it.
            env: variables for the worker, besides those of this process.

        Example:
            worker = lab.queue_worker(
                "course_app.apps.orders.WorkerSettings", env={"VALKEY_URL": lab.valkey_url}
            )
            worker.stop()
        """
        with ProgressLine(f"Starting the worker {settings}"):
            worker = QueueWorker(settings, env=env)
        self._stack.callback(worker.stop)
        return worker

    @_told
    def measure(
        self,
        app: App,
        traffic: Traffic,
        *,
        concurrency: int = 16,
        rate: float | None = None,
        seconds: float = 1.0,
        name: str = "app",
    ) -> Measurement:
        """One app under one load: latencies, throughput, costs, and counts of causes.

        Args:
            app: an ASGI app, or a server that already runs.
            traffic: a path, a request made by ``get`` or ``post``, or a ``mix`` of them.
            concurrency: requests in flight all the time (closed model).
            rate: arrivals per second instead (open model): latency counts from the moment
                at which a request was due.
            seconds: how long the load lasts; in the closed model longer if answers are slow.

        Example:
            result = lab.measure(fast, get("/users/{user_id}", user_id=uniform(1, lab.users)))
            print(result.p50_ms, result.counts["SQL statements"])
            result
        """
        workload = as_workload(traffic)
        with (
            ProgressLine(f"Measuring {name}") as progress,
            self._subject(name, app, workload, concurrency) as subject,
        ):
            return measure(self.generator, subject, seconds=seconds, rate=rate, progress=progress)

    @_told
    def compare(
        self,
        apps: Mapping[str, App],
        traffic: Traffic | Mapping[str, Traffic],
        *,
        concurrency: int = 16,
        metric: str = "p50",
        at_least: float = WORTH_A_CHANGE,
        same_answers: Same | None = None,
        most_rounds: int = MOST_ROUNDS,
        before_window: Callable[[], object] | None = None,
        window_requests: int | None = None,
    ) -> Comparison:
        """Two or more apps under the same load, in turns; the first is the baseline.

        Args:
            apps: by name; each gets windows of load in its turn.
            traffic: for all apps, or per app where the same is asked for in different words.
            concurrency: requests in flight all the time.
            metric: ``p50`` or ``throughput``.
            at_least: the speed-up that is asked about; measuring goes on until the
                interval answers that, or the rounds are used up.
            same_answers: whether all apps must answer alike, or a function of two
                responses that says so. By default true for traffic that only reads.
            most_rounds: a round is one window for each app.
            before_window: is called before each window, to empty a cache for example; with
                ``window_requests``, because else a warm-up fills it again.
            window_requests: each window sends the same so many requests, instead of as many
                as fit into its time: a cache that is filling up helps all apps alike then.
                Only the values of a ``sequence`` go on from window to window.

        Raises:
            ValueError: there is no such metric, or it is ``cpu``, which ``compare_requests``
                measures.

        Example:
            comparison = lab.compare({"slow": slow, "fast": fast}, "/users/1", concurrency=4)
            print(comparison.speedup(), comparison.faster(at_least=3))
            comparison.plot()
        """
        if metric == "cpu":
            raise ValueError("CPU is compared by single requests: use lab.compare_requests.")
        _require_metric(metric, "p50", "throughput")
        workloads = _per_app(apps, traffic)
        with ProgressLine(f"Comparing {'; '.join(apps)}") as progress, ExitStack() as stack:
            subjects = [
                stack.enter_context(
                    self._subject(
                        name, app, workloads[name], concurrency, prepared_requests=window_requests
                    )
                )
                for name, app in apps.items()
            ]
            return compare_windows(
                self.generator,
                subjects,
                metric=metric,
                at_least=at_least,
                same_answers=_same(same_answers, workloads),
                most_rounds=most_rounds,
                before_window=before_window,
                window_requests=window_requests,
                progress=progress,
            )

    @_told
    def compare_requests(
        self,
        apps: Mapping[str, App],
        traffic: Traffic | Mapping[str, Traffic],
        *,
        metric: str = "cpu",
        at_least: float = WORTH_A_CHANGE,
        same_answers: Same | None = None,
    ) -> Comparison:
        """Two or more apps by single requests that alternate: exact, but blind to contention.

        For the CPU of a request this is as precise as windows of load that take 40 times as
        long. Arguments are those of ``compare``, as far as they are not about load.

        Args:
            metric: ``cpu`` (of this process, per request) or ``p50``.

        Raises:
            ValueError: there is no such metric, or a server is given instead of an app.

        Example:
            by_cpu = lab.compare_requests({"slow": slow, "fast": fast}, "/users/1")
            by_cpu.plot()
        """
        _require_metric(metric, *METRICS)
        for name, app in apps.items():
            if isinstance(app, ThreadServer | ProcessServer):
                raise ValueError(
                    f"{name!r} is a server that runs already, in which single requests cannot be "
                    "told apart: hand over the app itself, or use lab.compare."
                )
        workloads = _per_app(apps, traffic)
        stamps: Stamps = []
        with ProgressLine(f"Comparing {'; '.join(apps)}") as progress, ExitStack() as stack:
            subjects = [
                stack.enter_context(self._subject(name, app, workloads[name], 1, (i, stamps)))
                for i, (name, app) in enumerate(apps.items())
            ]
            return compare_requests(
                self.generator,
                subjects,
                stamps,
                metric=metric,
                at_least=at_least,
                same_answers=_same(same_answers, workloads),
                progress=progress,
            )

    @_told
    def visitors(
        self,
        app: App,
        traffic: Traffic,
        *,
        phases: Phases,
        patience_ms: float = 100.0,
        limit_ms: float | None = None,
        retries: Retries = NEVER,
        connections: int = 512,
        name: str = "app",
    ) -> Visitors:
        """Strangers come at random (open model, Poisson), wait so long, and perhaps try again.

        Each has a connection of its own: one of those that are open, as from a proxy, or a new one.
        An app is served on asyncio's loop, which takes all new connections in a turn; uvloop takes
        one, and the others wait in the system, where no app sees them. Requests carry the header
        ``x-request-start``, the time in ms at which they were sent.

        Args:
            phases: (seconds, visitors per second), one after another.
            patience_ms: who has no answer by then hangs up.
            limit_ms: later answers are not good; by default the patience.
            retries: what a visitor does who was turned away or has hung up, such as
                ``Retries(times=3, pause_seconds=0.1, jitter=True, budget=0.1)``: up to three
                further attempts, after pauses of 0.1, 0.2 and 0.4 s, each of them drawn between
                nothing and that (``jitter``). Each first attempt earns a tenth of a retry, for all
                visitors together (``budget``; None: no limit).
            connections: so many are open at first.

        Example:
            crowd = lab.visitors(fast, "/users/1", phases=[(0.5, 100), (0.5, 300)])
            print(crowd.goodput.estimate, crowd.offered)
        """
        workload = as_workload(traffic)
        with ProgressLine(f"Visitors of {name}") as progress, ExitStack() as stack:
            door = None
            if not isinstance(app, ThreadServer | ProcessServer):
                door = Door(app)
                app = stack.enter_context(ThreadServer(door, name=name, loop="asyncio"))
            target = self.generator.connect(
                app.url,
                workload,
                concurrency=connections,
                number_requests=True,
                timeout_seconds=patience_ms / 1e3,
            )
            stack.callback(self.generator.disconnect, target)
            progress(" then ".join(f"{rate:,.0f}/s" for _, rate in phases))
            return visitors(
                self.generator,
                target,
                app,
                name=name,
                phases=phases,
                limit_ms=limit_ms or patience_ms,
                retries=retries,
                door=door,
            )

    def replay(self, app: App, traffic: Traffic, *, requests: int, name: str = "app") -> Replay:
        """The same requests one after another, whole answers kept, and what they caused counted.

        Args:
            requests: how many of the traffic's requests; the same ones each time.

        Example:
            replayed = lab.replay(fast, get("/users/{user_id}", user_id=zipf(100)), requests=200)
            print(replayed.counts["SQL statements"], replayed.answers[0].status)
        """
        with (
            ProgressLine(f"Replaying {amount(requests, 'request')} to {name}"),
            self._subject(name, app, as_workload(traffic), 1) as subject,
        ):
            return replay(self.generator, subject, requests)

    @_told
    def compare_calls(
        self, clients: Mapping[str, Client], what: str, *, metric: str = "p50"
    ) -> CallComparison:
        """Client libraries without a web server: what does one call cost? In turns.

        Args:
            clients: per name a function that returns an async context manager: it opens a
                client, hands out a call (an async function without arguments), and closes.
            what: what a call does, in a few words.
            metric: ``p50`` (time of a call) or ``cpu`` (of this whole process).

        Raises:
            ValueError: there is no such metric.

        Example:
            @asynccontextmanager
            async def by_pool():
                async with asyncpg.create_pool(lab.postgres_dsn, min_size=1) as pool:
                    yield lambda: pool.fetchval("SELECT 1")

            lab.compare_calls({"pool": by_pool, "the same": by_pool}, "SELECT 1")
        """
        _require_metric(metric, *METRICS)
        with ProgressLine(f"Comparing {'; '.join(clients)}") as progress:
            return compare_calls(
                clients, workload=what, metric=metric, probe=self._postgres, progress=progress
            )

    def mongodb(self) -> MongoDB:
        """A MongoDB (see COURSE_MONGODB_URL), or a stand-in that speaks its wire protocol.

        Example:
            mongodb = lab.mongodb()
            pymongo.MongoClient(mongodb.url).course.users.count_documents({})
        """
        return self._stack.enter_context(start_mongodb())

    @_told
    def sweep(
        self,
        apps: Mapping[str, App | Callable[[Any], ASGIApp]],
        traffic: Traffic | Mapping[str, Traffic],
        *,
        values: Sequence[float],
        parameter: str = "concurrency",
        concurrency: int | None = 16,
        metric: str = "throughput",
        windows: int = 3,
        rounds: int | None = None,
        count_causes: bool = False,
    ) -> Sweep:
        """One parameter step by step, for one or more series.

        Args:
            apps: per series an app. For any parameter but ``concurrency``, a function that
                makes the app for one value of it.
            traffic: for all series, or per series.
            values: the values of the parameter.
            concurrency: where that is not the parameter; None: it is the parameter's value,
                for apps made anew for each number of requests at once.
            windows: windows per point; a point is their median, its bar their range.
            rounds: requests per client in a window, for apps so slow that windows of
                some seconds would not hold a whole round.
            count_causes: also count at each point what happened per request.

        Example:
            swept = lab.sweep({"slow": slow, "fast": fast}, "/users/1", values=[1, 4, 16])
            swept.plot()
        """
        workloads = _per_app(apps, traffic)
        with ProgressLine(f"Sweeping {parameter}") as progress, ExitStack() as stack:
            series = {
                name: self._opener(stack, name, app, workloads[name], parameter, concurrency)
                for name, app in apps.items()
            }
            return sweep(
                self.generator,
                series,
                parameter=parameter,
                values=values,
                metric=metric,
                windows=windows,
                rounds=rounds,
                count_causes=count_causes,
                progress=progress,
            )

    @_told
    def timeline(
        self, app: ASGIApp, traffic: Traffic, *, requests: int = 60, concurrency: int = 16
    ) -> Timeline:
        """A few requests as a Gantt chart: queueing, service, write-back.

        Example:
            lab.timeline(slow, "/users/1", requests=12, concurrency=4).plot()
        """
        with ProgressLine("Drawing a timeline"):
            return timeline(
                self.generator,
                app,
                as_workload(traffic),
                requests=requests,
                concurrency=concurrency,
            )

    @_told
    def loop_lag(
        self, apps: Mapping[str, ASGIApp], traffic: Traffic, *, requests: int = 8, rate: float = 6
    ) -> LoopLag:
        """For how long slow requests stop the event loop: its lag over time, app by app.

        Args:
            rate: arrivals per second; rare enough that one request ends before the next.

        Example:
            lab.loop_lag({"slow": slow, "fast": fast}, "/users/1", requests=4).plot()
        """
        workload = as_workload(traffic)
        with ProgressLine("Sampling event loops") as progress:
            subjects = {name: self._subject(name, app, workload, 4) for name, app in apps.items()}
            return loop_lag(
                self.generator, subjects, requests=requests, rate=rate, progress=progress
            )

    @_told
    def bystanders(
        self,
        apps: Mapping[str, App],
        trigger: Traffic,
        bystander: Traffic,
        *,
        triggers: int = 1,
        every_ms: float = 10.0,
        seconds: float = 0.5,
        repeats: int = 6,
    ) -> Bystanders:
        """What one request does to everybody else's, also after its answer; app by app.

        Args:
            trigger: the request in question, sent 0.1 s after the first bystander.
            bystander: a short request, sent every ``every_ms`` for so many ``seconds``.
            triggers: how many triggers are sent at once.

        Example:
            around = lab.bystanders({"slow": slow}, "/users/1", "/users/2", repeats=2)
            around.plot()
        """
        workloads = as_workload(bystander), as_workload(trigger)
        with ProgressLine("Watching bystanders") as progress:
            return bystanders(
                (self.generator, self._second_generator),
                {n: self._scene(n, app, *workloads, triggers) for n, app in apps.items()},
                every_ms=every_ms,
                seconds=seconds,
                repeats=repeats,
                progress=progress,
            )

    @_told
    def trace(self, app: ASGIApp, traffic: Traffic) -> Trace:
        """One request as a waterfall of spans: SQL, Valkey, HTTP, serialization.

        Example:
            lab.trace(fast, "/users/1").plot()
        """
        with ProgressLine("Tracing one request"):
            return trace(self.generator, app, as_workload(traffic))

    @_told
    def profile(
        self,
        app: ASGIApp,
        traffic: Traffic,
        *,
        concurrency: int = 4,
        seconds: float = 1.0,
        name: str = "app",
    ) -> FlameGraph:
        """The stacks of the server's thread under load, as a flame graph.

        Example:
            lab.profile(fast, "/users/1", seconds=0.5).plot()
        """
        with ProgressLine(f"Profiling {name}"):
            return profile(
                self.generator,
                app,
                as_workload(traffic),
                name=name,
                seconds=paced(seconds),
                concurrency=concurrency,
            )

    @_told
    def examine(
        self,
        app: str | App | Callable[..., ASGIApp],
        traffic: Traffic | None = None,
        *,
        against: str | App | Callable[..., ASGIApp] | None = None,
        seconds: float = 0.0,
    ) -> "Report":
        """An app of your own: what makes it slow, where, what mending it can gain, what to do.

        It is loaded in a process of its own and asked with one client, then with many.

        Args:
            app: its place ("shop/main.py:app", "shop.main:create_app"), or an app or a function
                that makes one; with parameters ``postgres_dsn`` and ``valkey_url`` it gets the
                lab's.
            traffic: what to send; else ``ROUTES`` beside the app, or the GET routes that it
                describes.
            against: another version: the report says what became of each finding.
            seconds: about how long it may take; 0: one minute, more for more than five routes.

        Raises:
            CannotExamine: it does not start or cannot be asked; the message says what to do.

        Example:
            report = lab.examine("course_app.apps.hello:app", "/hello", seconds=20)
            print(report.healthy, [finding.cause for finding in report.findings])
            report
        """
        # Not above: a notebook's first cell would wait for it half a second longer.
        from course_app.examine.notebook import target_of
        from course_app.examine.session import Wishes, run

        with ProgressLine("Examining") as progress, TemporaryDirectory() as folder:
            return run(
                target_of(app, Path(folder)),
                {"postgres_dsn": self.postgres_dsn, "valkey_url": self.valkey_url},
                wishes=Wishes(traffic=traffic),
                against=None if against is None else target_of(against, Path(folder)),
                progress=lambda what, _, left: progress(f"{what}, about {left:.0f} s left"),
                seconds=seconds,
            )[0]

    @_told
    def load_test(
        self,
        locustfile: str,
        app: App,
        *,
        users: int = 8,
        seconds: float = 3.0,
        workers: int = 0,
        name: str = "app",
    ) -> LoadTest:
        """Let Locust's users loose on an app; its live figures show while it runs.

        Args:
            locustfile: its text. It runs in processes of its own, because importing Locust
                patches the standard library.
            workers: 0: one process does it all; else that many workers, and a master.

        Example:
            users = '''
            from locust import HttpUser, task

            class Reader(HttpUser):
                @task
                def read(self):
                    self.client.get("/users/1")
            '''
            lab.load_test(users, fast, users=4, seconds=2)
        """
        with ProgressLine(f"Load test of {name}") as progress, ExitStack() as stack:
            if not isinstance(app, ThreadServer | ProcessServer):
                app = stack.enter_context(ThreadServer(app, name=name))
            reports = run_swarm(
                locustfile,
                app.url,
                users=users,
                seconds=paced(seconds),
                workers=workers,
                progress=progress,
            )
        return LoadTest(name, users, reports)

    @contextmanager
    def wire_tap(self, **urls: str) -> Iterator[WireTap]:
        """Count what passes between apps and PostgreSQL, Valkey, or other servers.

        Inside the ``with`` block ``lab.postgres_dsn`` and ``lab.valkey_url`` lead through the
        tap; apps must connect there.

        Args:
            urls: other servers by name; ``tap.url(name)`` is the way through the tap.

        Example:
            with lab.wire_tap() as tap:
                connection = asyncio.run(asyncpg.connect(lab.postgres_dsn))
                wire = tap.during(lambda: asyncio.run(connection.fetch("SELECT 1")))
                asyncio.run(connection.close())
            print(wire.round_trips, wire.bytes_down)
        """
        with self._by_way_of(0.0, urls) as wire:
            yield WireTap(self.generator, wire)

    @contextmanager
    def network_delay(self, milliseconds: float) -> Iterator[None]:
        """Move PostgreSQL and Valkey away: every round trip takes that much longer.

        Inside the ``with`` block ``lab.postgres_dsn`` and ``lab.valkey_url`` lead through a
        proxy that delays; apps must connect there. With zero nothing stands between.

        Args:
            milliseconds: added to each round trip.

        Example:
            with lab.network_delay(2):
                dsn = lab.postgres_dsn
                far = {"slow": create_slow(dsn), "fast": create_fast(dsn)}
                lab.compare(far, "/users/1", at_least=3)
        """
        if milliseconds == 0:
            yield
            return
        with self._by_way_of(milliseconds):
            yield

    @contextmanager
    def outages(self) -> Iterator[Wire]:
        """Take PostgreSQL or Valkey away in the middle of whatever runs, and bring them back.

        Inside the ``with`` block ``lab.postgres_dsn`` and ``lab.valkey_url`` lead through a
        proxy; apps must connect there. ``network.cut("valkey")`` ends connections, with
        ``network.silence("valkey")`` nothing is answered any more, ``network.mend("valkey")``
        ends both.

        Example:
            with lab.outages() as network:
                network.cut("valkey")
                ...  # what does the app answer now?
                network.mend("valkey")
        """
        with self._by_way_of(0.0) as wire:
            yield wire

    def also_count(self, probe: Probe) -> None:
        """From here on measurements of apps in this process count with this probe, too.

        Example:
            from course_app.measure.probes.encoder import EncoderProbe

            lab.also_count(EncoderProbe())
        """
        self._further_probes.append(probe)

    def predict(self, value: float | EllipsisType, what: str) -> Prediction:
        """Commit to a number before it is measured: write it down, run the cell, go on.

        In a lesson the first number that is held against a measurement is kept, for
        ``calibration``.

        Args:
            value: the number; three dots as long as there is none.
            what: its unit and what it is about, in a few words.

        Example:
            guess = lab.predict(5, "times as fast with a pool")
            print(guess.against(comparison.speedup()))
            comparison.plot(predicted=guess)
        """
        number, keep = (None if isinstance(value, EllipsisType) else value), None
        if self._lesson and number is not None:
            keep = partial(Predictions().keep, self._lesson, what, number)
        prediction = Prediction(number, what, keep)
        print(prediction)
        return prediction

    def calibration(self) -> Figure:
        """All predictions of all lessons against what was measured: one dot each.

        Example:
            lab.calibration()
        """
        return plot_calibration(Predictions().all())

    @_told
    def verdict(
        self,
        claim: int | str,
        verdict: str,
        because: str,
        conditions: Mapping[str, bool | None],
        *,
        evidence: Comparison | Interval | None = None,
        number: str = "",
    ) -> ClaimVerdict:
        """What this machine's measurements say about a claim of the guide.

        Args:
            claim: its number, such as 9, "T2" (a tip) or "P4" (a pitfall).
            verdict: ``holds``, ``holds when``, ``outdated`` or ``wrong``.
            because: the reason in one sentence.
            conditions: what was measured, each with True, False or None ("cannot tell").
                The verdict stands only if all of them held.
            evidence: the comparison or interval behind it, for the report.
            number: the figure for the report, where it is not a speed-up.

        Example:
            lab.verdict(
                9,
                "wrong",
                "A connection for each request costs more than the query.",
                {"the pool is at least 3 times as fast": comparison.faster(at_least=3)},
                evidence=comparison,
            )
        """
        self._noise.pause()
        self._noise.resume()
        return ClaimVerdict(
            claim=str(claim),
            proposed=verdict,
            because=because,
            conditions=conditions,
            speedup=speedup_of(evidence),
            number=number,
            text=claim_text(str(claim)),
            noise=self._noise.report(),
        )

    @contextmanager
    def _subject(
        self,
        name: str,
        app: App,
        workload: Workload,
        concurrency: int,
        stamping: tuple[int, Stamps] | None = None,
        prepared_requests: int | None = None,
    ) -> Iterator[Subject]:
        with ExitStack() as stack:
            gauge = None
            if not isinstance(app, ThreadServer | ProcessServer):
                number, stamps = stamping or (0, None)
                gauge = InFlight(app, number, stamps)
                app = stack.enter_context(ThreadServer(gauge, name=name))
            try:
                target = connect(self.generator, app, workload, concurrency, prepared_requests)
                stack.callback(self.generator.disconnect, target)
                yield Subject(name, app, target, gauge, self._probes(app, gauge))
            except NobodyListens:
                if isinstance(app, ProcessServer):
                    raise app.gone() from None
                raise

    @contextmanager
    def _scene(
        self, name: str, app: App, everybody: Workload, trigger: Workload, triggers: int
    ) -> Iterator[Scene]:
        with self._subject(name, app, everybody, _BYSTANDERS_AT_ONCE) as subject:
            url = subject.server.url
            target = self._second_generator.connect(url, trigger, concurrency=triggers)
            try:
                yield Scene(subject, target)
            finally:
                self._second_generator.disconnect(target)

    @contextmanager
    def _by_way_of(
        self, delay_ms: float, others: Mapping[str, str] | None = None
    ) -> Iterator[Wire]:
        direct = self.postgres_dsn, self.valkey_url
        servers = {"postgres": direct[0], "valkey": direct[1], **(others or {})}
        with Wire(servers, delay_ms) as wire:
            self.postgres_dsn, self.valkey_url = wire.url("postgres"), wire.url("valkey")
            try:
                yield wire
            finally:
                self.postgres_dsn, self.valkey_url = direct

    def _probes(self, server: Server, gauge: InFlight | None) -> list[Probe]:
        probes: list[Probe] = [self._postgres, self._valkey]
        if isinstance(server, ThreadServer):
            probes += [LoopProbe(server), *self._further_probes]
        return [*probes, gauge] if gauge is not None else probes

    def _opener(
        self,
        stack: ExitStack,
        name: str,
        app: App | Callable[[Any], ASGIApp],
        workload: Workload,
        parameter: str,
        concurrency: int | None,
    ) -> Callable[[float], AbstractContextManager[Subject]]:
        if parameter != "concurrency":
            make: Any = app
            return lambda value: self._subject(
                name, make(value), workload, concurrency or int(value)
            )
        server: Any = app
        if not isinstance(server, ThreadServer | ProcessServer):
            server = stack.enter_context(ThreadServer(server, name=name))
        return lambda value: self._subject(name, server, workload, int(value))


def _per_app(
    apps: Mapping[str, Any], traffic: Traffic | Mapping[str, Traffic]
) -> dict[str, Workload]:
    by_app = traffic if isinstance(traffic, Mapping) else dict.fromkeys(apps, traffic)
    return {name: as_workload(by_app[name]) for name in apps}


def _require_metric(metric: str, *known: str) -> None:
    if metric not in known:
        raise ValueError(f"There is no metric {metric!r} here: choose one of {', '.join(known)}.")


def _same(wanted: Same | None, workloads: Mapping[str, Workload]) -> Same:
    return all(map(reads_only, workloads.values())) if wanted is None else wanted
