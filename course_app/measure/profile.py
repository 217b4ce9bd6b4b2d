"""Where the server's thread spends its time under load: sampled stacks as a flame graph."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyinstrument import Profiler
from pyinstrument.session import Session

from course_app.load import Generator, Workload
from course_app.measure.answers import WrongAnswer, errors_of, together
from course_app.measure.flame import WAITING, FlameFrame, flame_of
from course_app.measure.probes.asgi import ASGIApp
from course_app.measure.result import Result
from course_app.measure.subject import require_in_time
from course_app.serving import ThreadServer

INTERVAL_SECONDS = 0.001
#: Less than this share of the time is not worth a row.
_SEEN = 0.005
_MOST_ROWS = 8


@dataclass(frozen=True)
class FlameGraph(Result):
    """All frames of one thread under one load; ``root`` is the thread itself."""

    name: str
    workload: str
    concurrency: int
    requests: int
    root: FlameFrame
    wrong: tuple[WrongAnswer, ...] = ()

    columns = ("where", "own time", "with what it calls")

    @property
    def waiting(self) -> float:
        """Share of the time in which no Python ran."""
        idle = sum(frame.seconds for frame in self.root.children if frame.kind == WAITING)
        return idle / self.root.seconds

    def own(self) -> Mapping[str, float]:
        """Share of the time by name, each without what it calls."""
        return self._shares(lambda frame: frame.own_seconds)

    def within(self) -> Mapping[str, float]:
        """Share of the time by name of the app's functions, with all that they call."""
        outermost: dict[str, float] = {}
        for frame in _outermost(self.root, ()):
            outermost[frame.name] = outermost.get(frame.name, 0.0) + frame.seconds
        return {name: seconds / self.root.seconds for name, seconds in outermost.items()}

    @property
    def message(self) -> str:
        """How much Python ran, and which function of the app had most of it."""
        if self.wrong:
            return f"Answers were wrong. {self.wrong[0]}"
        own = {f.name: 0.0 for f in self.root.walk() if f.kind == "app"}
        busiest = max(own, key=lambda name: self._innermost(name), default="")
        said = f"{self.name}: the event loop is idle {self.waiting:.0%} of the time"
        if not busiest:
            return said
        return f"{said} and spends {self._innermost(busiest):.0%} of it in {busiest}"

    def rows(self) -> list[tuple[str, ...]]:
        """The names with most time of their own."""
        within = self.within()
        own = sorted(self.own().items(), key=lambda pair: -pair[1])[:_MOST_ROWS]
        return [
            (name, f"{share:.0%}", f"{within[name]:.0%}")
            for name, share in own
            if share > _SEEN and name in within
        ]

    def notes(self) -> Sequence[str]:
        """Wrong answers, then how it was sampled."""
        return (
            *(str(example) for example in self.wrong[1:]),
            f"{self.requests} requests ({self.workload}, {self.concurrency} at a time), a look at "
            f"the stack every {1e3 * INTERVAL_SECONDS:g} ms. Looking costs time of its own.",
        )

    def _innermost(self, name: str) -> float:
        """Share of the time in that function of the app, but not in others that it calls."""
        frames = [f for f in self.root.walk() if f.kind == "app" and f.name == name]
        seconds = sum(f.seconds - sum(c.seconds for c in _apps_below(f)) for f in frames)
        return seconds / self.root.seconds

    def _shares(self, seconds: Callable[[FlameFrame], float]) -> dict[str, float]:
        found: dict[str, float] = {}
        for frame in self.root.walk():
            found[frame.name] = found.get(frame.name, 0.0) + seconds(frame) / self.root.seconds
        return found


def profile(
    generator: Generator,
    app: ASGIApp,
    workload: Workload,
    *,
    name: str = "app",
    seconds: float = 1.0,
    concurrency: int = 4,
) -> FlameGraph:
    """Serve the app, and sample its server's thread under load.

    Raises:
        AppDoesNotAnswer: a request timed out.
    """
    profiler = Profiler(interval=INTERVAL_SECONDS, async_mode="disabled")

    async def start() -> None:
        profiler.start()

    async def stop() -> Session:
        return profiler.stop()

    with ThreadServer(app, name=name) as server:
        target = generator.connect(server.url, workload, concurrency=concurrency)
        try:
            require_in_time(server, generator.closed(target, requests=4 * concurrency))
            # A profiler looks at the thread that starts it.
            server.run(start())
            load = generator.closed(target, seconds=seconds)
            session = server.run(stop())
            require_in_time(server, load)
        finally:
            generator.disconnect(target)
    return FlameGraph(
        name=name,
        workload=workload.describe(),
        concurrency=concurrency,
        requests=load.completed,
        root=flame_of(session),
        wrong=together(errors_of(name, load)),
    )


def _outermost(frame: FlameFrame, above: tuple[str, ...]) -> Iterator[FlameFrame]:
    if frame.name not in above:
        yield frame
    for child in frame.children:
        yield from _outermost(child, (*above, frame.name))


def _apps_below(frame: FlameFrame) -> Iterator[FlameFrame]:
    """The app's functions below a frame, without those below them."""
    for child in frame.children:
        if child.kind == "app":
            yield child
        else:
            yield from _apps_below(child)
