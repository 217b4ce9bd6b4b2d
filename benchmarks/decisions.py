"""Are the verdicts of comparisons right on a busy machine? (two busy loops beside; minutes)

Two questions with known answers are asked again and again: the same app twice (truth 1.0),
and an app against one that works three times as long (truth 3.0).
"""

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks import BenchResult, never
from course_app.load import Generator, as_workload
from course_app.measure.compare import compare_requests, compare_windows
from course_app.measure.comparison import Comparison
from course_app.measure.probes.asgi import ASGIApp, InFlight, Receive, Scope, Send, Stamps
from course_app.measure.statistics import Verdict
from course_app.measure.subject import Subject
from course_app.processes import OwnedProcess
from course_app.serving import ThreadServer

REPEATS = 50
BUSY_LOOPS = 2
#: The work of the shorter app; the longer one does three times as much.
_WORK_SECONDS = 0.001
_BAR = 3**0.5

_BUSY_LOOP = "while True: pass"
_Compare = Callable[[Generator, ASGIApp, ASGIApp, float], Comparison]


def run() -> BenchResult:
    """Ask both questions with both protocols, each ``REPEATS`` times, beside busy loops."""
    rows, figures, requirements = [], {}, {}
    rounds = _rounds_for(_WORK_SECONDS)  # once: a second look would find another number
    short, long = _working(rounds), _working(3 * rounds)
    questions = {
        "the same app twice": (short, short, 1.1),
        "three times the work": (long, short, _BAR),
    }
    protocols: dict[str, _Compare] = {"windows": _by_windows, "single requests": _by_requests}
    with ExitStack() as stack:
        generator = stack.enter_context(Generator())
        for _ in range(BUSY_LOOPS):
            stack.enter_context(OwnedProcess([sys.executable, "-c", _BUSY_LOOP]))
        for question, (a, b, bar) in questions.items():
            for protocol, compare in protocols.items():
                said, seconds = _ask(generator, compare, a, b, bar)
                rows.append((question, protocol, *_cells(said), f"{seconds:.1f} s"))
                figures[f"{question}, {protocol}"] = {v.value: said[v] for v in Verdict}
                wrong = Verdict.NOT_FASTER if bar == _BAR else Verdict.FASTER
                requirements[f"{question}, {protocol}: never “{wrong}”"] = never(
                    said[wrong], decided=said.total() - said[Verdict.CANNOT_TELL]
                )
    return BenchResult(
        title=f"Verdicts of {REPEATS} comparisons beside {BUSY_LOOPS} busy loops",
        columns=("truth", "protocol", *(v.value for v in Verdict), "mean time"),
        rows=rows,
        requirements=requirements,
        figures=figures,
    )


def _ask(
    generator: Generator, compare: _Compare, a: ASGIApp, b: ASGIApp, bar: float
) -> tuple[Counter[Verdict], float]:
    began = time.monotonic()
    said = Counter(compare(generator, a, b, bar).verdict(at_least=bar) for _ in range(REPEATS))
    return said, (time.monotonic() - began) / REPEATS


def _by_windows(generator: Generator, a: ASGIApp, b: ASGIApp, bar: float) -> Comparison:
    with ExitStack() as stack:
        subjects = [_subject(stack, generator, app, 4) for app in (a, b)]
        return compare_windows(generator, subjects, at_least=bar)


def _by_requests(generator: Generator, a: ASGIApp, b: ASGIApp, bar: float) -> Comparison:
    stamps: Stamps = []
    with ExitStack() as stack:
        subjects = [
            _subject(stack, generator, InFlight(app, number, stamps), 1)
            for number, app in enumerate((a, b))
        ]
        return compare_requests(generator, subjects, stamps, at_least=bar)


def _subject(stack: ExitStack, generator: Generator, app: ASGIApp, concurrency: int) -> Subject:
    server = stack.enter_context(ThreadServer(app))
    target = generator.connect(server.url, as_workload("/"), concurrency=concurrency)
    stack.callback(generator.disconnect, target)
    return Subject("app", server, target)


def _working(rounds: int) -> ASGIApp:
    # A fixed amount of work, not of time: on a busy machine it takes longer, as real work does.
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        sum(range(rounds))
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def _rounds_for(seconds: float) -> int:
    began = time.thread_time()
    sum(range(1_000_000))
    return int(1_000_000 * seconds / (time.thread_time() - began))


def _cells(said: Counter[Verdict]) -> tuple[str, ...]:
    return tuple(str(said[verdict]) for verdict in Verdict)
