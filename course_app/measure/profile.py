"""Where the server's thread spends its time under load: sampled stacks as a flame graph.

pyinstrument looks at the thread's stack every millisecond. Calls into one library are one frame
here, so that the app's own functions can be seen between forty of the framework's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pyinstrument import Profiler
from pyinstrument.frame import Frame as SampledFrame
from pyinstrument.session import Session

import course_app
from course_app.load import Generator, Workload
from course_app.measure.probes.asgi import ASGIApp
from course_app.measure.result import Result
from course_app.serving import ThreadServer

INTERVAL_SECONDS = 0.001
WAITING = "waiting"
#: Less than this share of the time is not worth a row.
_SEEN = 0.005
_MOST_ROWS = 8

_PACKAGE = str(Path(course_app.__file__).parent)
_APPS = str(Path(course_app.__file__).parent / "apps")
_LIBRARY = "site-packages"
_TOGETHER = {"fastapi": "FastAPI", "starlette": "FastAPI", "pydantic": "FastAPI"}


@dataclass(frozen=True)
class FlameFrame:
    """A function (or a library) with the time spent in it and below it.

    ``kind`` is ``app`` (the reader's own code), ``library`` or ``waiting`` (for the network: no
    Python ran).
    """

    name: str
    kind: str
    seconds: float
    children: tuple["FlameFrame", ...] = ()

    @property
    def own_seconds(self) -> float:
        """Time in it, but not below it."""
        return max(self.seconds - sum(child.seconds for child in self.children), 0.0)

    def walk(self) -> Iterator["FlameFrame"]:
        """This frame and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class FlameGraph(Result):
    """All frames of one thread under one load; ``root`` is the thread itself."""

    name: str
    workload: str
    concurrency: int
    requests: int
    root: FlameFrame

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
        own = {f.name: 0.0 for f in self.root.walk() if f.kind == "app"}
        busiest = max(own, key=lambda name: self._innermost(name), default="")
        said = f"{self.name}: the thread waits {self.waiting:.0%} of the time"
        if not busiest:
            return said
        return f"{said}; {self._innermost(busiest):.0%} are spent in {busiest}"

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
        """How it was sampled."""
        return (
            f"{self.requests} requests ({self.workload}, {self.concurrency} at a time), a look at "
            f"the stack every {1e3 * INTERVAL_SECONDS:g} ms. Looking costs time of its own.",
        )

    def to_dict(self) -> Mapping[str, Any]:
        """All frames, nested."""
        return {
            "type": "flame graph",
            "name": self.name,
            "workload": self.workload,
            "requests": self.requests,
            "waiting_share": self.waiting,
            "root": asdict(self.root),
        }

    def _innermost(self, name: str) -> float:
        """Share of the time in that function of the app, but not in others that it calls."""
        frames = [f for f in self.root.walk() if f.kind == "app" and f.name == name]
        seconds = sum(f.seconds - sum(c.seconds for c in _apps_below(f)) for f in frames)
        return seconds / self.root.seconds

    def _shares(self, seconds: Any) -> dict[str, float]:
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
    """Serve the app, and sample its server's thread under load."""
    profiler = Profiler(interval=INTERVAL_SECONDS, async_mode="disabled")

    async def start() -> None:
        profiler.start()

    async def stop() -> Session:
        return profiler.stop()

    with ThreadServer(app, name=name) as server:
        target = generator.connect(server.url, workload, concurrency=concurrency)
        try:
            generator.closed(target, requests=4 * concurrency)
            # A profiler looks at the thread that starts it.
            server.run(start())
            load = generator.closed(target, seconds=seconds)
            session = server.run(stop())
        finally:
            generator.disconnect(target)
    return FlameGraph(name, workload.describe(), concurrency, load.completed, flame_of(session))


def flame_of(session: Session) -> FlameFrame:
    """The frames of a session below the server's own; the rest of the thread's time is waiting."""
    sampled = session.root_frame()
    assert sampled is not None
    bottom = _loop_frame(sampled)
    children = _merged(frame for child in bottom.children for frame in _readable(child, ""))
    busy = sum(child.seconds for child in children)
    idle = FlameFrame(WAITING, WAITING, max(bottom.time - busy, 0.0))
    return FlameFrame("the server's thread", "library", bottom.time, (*children, idle))


def _loop_frame(frame: SampledFrame) -> SampledFrame:
    """The frame that runs the event loop: the last one that all the stacks have in common."""
    for child in frame.children:
        if not child.is_synthetic and child.function == "_run" and _in_serving(child):
            return child
        found = _loop_frame(child) if child.time > 0.5 * frame.time else child
        if found.function == "_run" and _in_serving(found):
            return found
    return frame


def _in_serving(frame: SampledFrame) -> bool:
    return str(frame.file_path or "").startswith(f"{_PACKAGE}/serving")


def _readable(frame: SampledFrame, library: str) -> Iterator[FlameFrame]:
    """The frame as the reader knows it; what is not to be seen gives way to what it calls."""
    if frame.is_synthetic:
        return
    kind, name = _called(frame)
    same = kind == "library" and name == library
    inner = name if kind == "library" else ""
    children = _merged(f for child in frame.children for f in _readable(child, inner))
    if same or name.startswith("<"):
        # Its own time stays with the frame around it: the same library, or the function that a
        # comprehension or a lambda is written in.
        yield from children
    else:
        yield FlameFrame(name, kind, frame.time, children)


def _called(frame: SampledFrame) -> tuple[str, str]:
    path = str(frame.file_path or "")
    if _LIBRARY in path:
        package = path.rpartition(f"{_LIBRARY}/")[2].partition("/")[0].removesuffix(".py")
        return "library", _TOGETHER.get(package, package)
    if path.startswith(_PACKAGE) and not path.startswith(_APPS):
        return "library", "uvicorn"  # the course's own server is a subclass of uvicorn's
    if "/lib/python3" in path or path.startswith("<frozen"):
        file = Path(path)
        return "library", file.parent.name if file.stem == "__init__" else file.stem
    if not path.startswith(("/", "<ipython")):  # a function written in C
        return "library", frame.function
    return "app", frame.function


def _merged(frames: Iterator[FlameFrame]) -> tuple[FlameFrame, ...]:
    """Frames of the same name side by side are one; the longest comes first."""
    together: dict[tuple[str, str], list[FlameFrame]] = {}
    for frame in frames:
        together.setdefault((frame.name, frame.kind), []).append(frame)
    merged = [
        FlameFrame(
            name,
            kind,
            sum(frame.seconds for frame in same),
            _merged(child for frame in same for child in frame.children),
        )
        for (name, kind), same in together.items()
    ]
    return tuple(sorted(merged, key=lambda frame: -frame.seconds))


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
