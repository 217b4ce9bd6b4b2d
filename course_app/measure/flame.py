"""The frames of a flame graph, made of what pyinstrument sampled.

It looks at a thread's stack every millisecond. Calls into one library are one frame here, so that
the app's own functions can be seen between forty of the framework's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyinstrument.frame import Frame as SampledFrame
from pyinstrument.session import Session

import course_app

WAITING = "waiting"

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
