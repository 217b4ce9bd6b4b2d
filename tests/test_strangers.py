"""Apps that misbehave: the lab says in a line or two what they do, soon, and goes on working."""

import asyncio
import functools
import gzip
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from representatives import others_slow

from course_app.lab import Lab, get
from course_app.measure.trace import Trace
from course_app.progress import Stopped
from course_app.serving import AppDoesNotAnswer, AppFailedToStart, ServerStopped, thread

#: In place of ten seconds, which a reader is made to wait.
PATIENCE_SECONDS = 0.8
#: For how long a handler blocks, a little longer than anything here waits for it.
BLOCKED_SECONDS = 4.0

Handler = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch, Lab() as lab:
        patch.setenv("COURSE_PACE", "quick")
        patch.setattr(thread, "BLOCKED_SECONDS", PATIENCE_SECONDS)
        connect = functools.partial(lab.generator.connect, timeout_seconds=PATIENCE_SECONDS)
        patch.setattr(lab.generator, "connect", connect)
        yield lab


@pytest.fixture(autouse=True)
def _the_next_measurement_works(lab: Lab) -> Iterator[None]:
    yield
    assert not lab.measure(app_of(fine), "/", concurrency=1, seconds=0.05).wrong


async def fine() -> dict[str, int]:
    return {"a": 1}


async def blocks() -> None:
    time.sleep(BLOCKED_SECONDS)


async def waits() -> None:
    await asyncio.sleep(3600)


async def streams_for_ever() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"more"
            await asyncio.sleep(0.01)

    return StreamingResponse(parts())


async def fails_often(request: Request) -> int:
    state = request.app.state
    state.asked = getattr(state, "asked", 0) + 1
    if state.asked % 2:
        raise RuntimeError("odd")
    return 1


async def quits() -> None:
    sys.exit(3)


async def redirects() -> RedirectResponse:
    return RedirectResponse("/there")


async def has_nothing() -> Response:
    return Response(status_code=204)


async def is_not_modified() -> Response:
    return Response(status_code=304)


async def packs() -> Response:
    body = gzip.compress(b'{"a": 1}')
    return Response(body, headers={"content-encoding": "gzip"}, media_type="application/json")


async def fails_packed() -> Response:
    answer = await packs()
    answer.status_code = 500
    return answer


async def announces_too_much() -> StreamingResponse:
    return StreamingResponse(iter([b"short"]), headers={"content-length": "100"})


def app_of(
    handler: Handler, before: Handler | None = None, after: Handler | None = None
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if before is not None:
            await before()
        yield
        if after is not None:
            await after()

    app = FastAPI(lifespan=lifespan)
    app.get("/")(handler)
    return app


async def raises() -> None:
    raise RuntimeError("no way")


def measure(lab: Lab, app: FastAPI) -> Any:
    return lab.measure(app, "/", concurrency=2, seconds=0.05)


def compare(lab: Lab, app: FastAPI) -> Any:
    return lab.compare({"fine": app_of(fine), "odd": app}, "/", concurrency=2, most_rounds=6)


def compare_requests(lab: Lab, app: FastAPI) -> Any:
    return lab.compare_requests({"fine": app_of(fine), "odd": app}, "/")


def trace(lab: Lab, app: FastAPI) -> Any:
    return lab.trace(app, "/")


def timeline(lab: Lab, app: FastAPI) -> Any:
    return lab.timeline(app, "/", requests=4, concurrency=2)


def sweep(lab: Lab, app: FastAPI) -> Any:
    return lab.sweep({"odd": app}, "/", values=[1, 2], windows=1)


def profile(lab: Lab, app: FastAPI) -> Any:
    return lab.profile(app, "/", seconds=0.05)


WAYS = (measure, compare, compare_requests, trace, timeline, sweep, profile)
Way = Callable[[Lab, FastAPI], Any]


@pytest.mark.parametrize("way", others_slow(1, WAYS))
def test_a_handler_that_blocks_is_named_with_its_line(lab: Lab, way: Way) -> None:
    began = time.monotonic()
    with pytest.raises(AppDoesNotAnswer) as caught:
        way(lab, app_of(blocks))
    said = str(caught.value)
    assert f"does not answer: GET /: no answer within {PATIENCE_SECONDS} s" in said
    assert "Its event loop is blocked here:" in said
    assert f"{Path(__file__).name}" in said
    assert "in blocks\n    time.sleep(BLOCKED_SECONDS)" in said
    assert time.monotonic() - began < BLOCKED_SECONDS


@pytest.mark.parametrize("way", others_slow(1, WAYS))
def test_a_handler_that_waits_for_ever_is_named_after_one_time_out(lab: Lab, way: Way) -> None:
    with pytest.raises(AppDoesNotAnswer, match=r"It waits here:\n.*in waits\n"):
        way(lab, app_of(waits))


@pytest.mark.parametrize("way", [measure, trace])
def test_a_stream_without_end_is_called_so(lab: Lab, way: Way) -> None:
    with pytest.raises(AppDoesNotAnswer, match="no end of the answer within"):
        way(lab, app_of(streams_for_ever))


@pytest.mark.parametrize("way", WAYS)
def test_an_app_that_fails_at_its_start_says_where(lab: Lab, way: Way) -> None:
    with pytest.raises(AppFailedToStart, match=r"no way\n(.*\n)+.*in raises\n"):
        way(lab, app_of(fine, before=raises))


@pytest.mark.parametrize("way", [measure, compare_requests, timeline, sweep])
def test_failures_are_told_once_with_their_number(lab: Lab, way: Way) -> None:
    result = way(lab, app_of(fails_often))
    said = str(result)
    assert said.count("got ") <= 2
    assert "500" in said
    assert " times)" in said
    assert "nan" not in said


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (quits, "got status 500: Internal Server Error"),
        (redirects, "got status 307, a redirect to /there"),
        (redirects, "ask for that address, or with get(path, expect_status=307)"),
        (has_nothing, "got status 204 without a body (No Content; if that is right, ask with "),
        (is_not_modified, "get(path, expect_status=304)"),
        (fails_packed, 'got status 500: {"a": 1}'),
        (announces_too_much, "got no answer: the server closed the connection"),
    ],
)
def test_wrong_answers_are_called_what_they_are(lab: Lab, handler: Handler, said: str) -> None:
    measured = measure(lab, app_of(handler))
    assert measured.load.completed == 0
    assert said in measured.message
    assert ("latency p50, ms", "-") in measured.rows()
    assert "nan" not in str(measured)


def test_what_is_said_to_accept_a_status_does(lab: Lab) -> None:
    taken = get("/", expect_status=204)
    assert not lab.measure(app_of(has_nothing), taken, concurrency=2, seconds=0.05).wrong


def test_a_compressed_answer_is_the_same_answer(lab: Lab) -> None:
    assert not compare(lab, app_of(packs)).wrong


def test_other_answers_are_told_before_anything_is_measured(lab: Lab) -> None:
    compared = compare(lab, app_of(has_nothing))
    assert compared.message.endswith(
        'GET /: expected 200 {"a":1}, got 204 without a body (12 times)'
    )
    assert compared["odd"].counts.requests == 0
    assert "nan" not in str(compared)


@pytest.mark.slow
def test_a_pause_as_long_as_a_window_is_no_wrong_answer(lab: Lab) -> None:
    pauses = iter([0.5])

    async def pauses_once(request: Request) -> dict[str, int]:
        time.sleep(request.app.state.due.pop() if request.app.state.due else 0)
        return await fine()

    app = app_of(pauses_once)
    app.state.due = []
    found = lab.compare(
        {"pauses": app, "does not": app_of(fine)},
        "/",
        concurrency=1,
        most_rounds=6,
        before_window=lambda: app.state.due.extend(pauses),
    )
    assert not found.wrong


def test_a_shutdown_that_fails_is_told(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert not measure(lab, app_of(fine, after=raises)).wrong
    said = capsys.readouterr().err
    assert 'The shutdown of "app" failed: RuntimeError: no way' in said
    assert "in raises" in said


def test_a_trace_of_a_failing_request_shows_its_status(lab: Lab) -> None:
    traced = trace(lab, app_of(quits))
    assert isinstance(traced, Trace)
    assert traced.status == 500


def test_workers_that_end_in_the_middle_are_told(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "ending.py").write_text(ENDING)
    server = lab.serve_processes("ending:app", env={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(ServerStopped, match=r"its workers have ended. They printed last:\n"):
        lab.measure(server, "/bye", concurrency=2, seconds=0.05)
    server.stop()


ENDING = """
import os
from fastapi import FastAPI
app = FastAPI()
@app.get("/bye")
async def bye():
    os._exit(3)
"""


@pytest.mark.filterwarnings("ignore:The app .* blocks its event loop")
@pytest.mark.parametrize("handler", others_slow(1, [waits, blocks]))
def test_an_interrupt_ends_all_of_it_in_one_line(
    lab: Lab, handler: Handler, capsys: pytest.CaptureFixture[str]
) -> None:
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(Stopped) as caught:
        measure(lab, app_of(handler))
    assert len(caught.value._render_traceback_()) == 1
    assert capsys.readouterr().err.startswith("Measuring app: stopped after ")
