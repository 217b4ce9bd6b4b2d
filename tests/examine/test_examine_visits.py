"""What is kept of a request, above all of one that fails."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse

from course_app.examine import seen
from course_app.examine.instruments.layers import compare
from course_app.examine.instruments.report import Table, Window
from course_app.examine.instruments.sampler import Sampler
from course_app.examine.instruments.visits import Visit, Visits, note_error
from course_app.load import LoadResult

app = FastAPI()


def mail() -> None:
    raise ConnectionError("no mail server")


@app.get("/task")
async def task(tasks: BackgroundTasks) -> str:
    tasks.add_task(mail)
    return "sent"


@app.get("/handler")
async def handler() -> None:
    mail()


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> Any:
        yield b"one"
        mail()

    return StreamingResponse(parts())


@app.get("/parts")
async def parts() -> StreamingResponse:
    async def one() -> Any:
        yield b"one"

    return StreamingResponse(one())


def asked(app: Any, path: str) -> Visits:
    """The record of one request, whose server ignores exceptions."""
    visits = Visits(app)
    visits.keep = True
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [],
        "root_path": "",
    }

    async def receive() -> None:  # who sent everything says nothing more until it leaves
        await asyncio.get_running_loop().create_future()

    async def send(_message: Any) -> None:
        """A client that takes everything."""

    async def once() -> None:
        with contextlib.suppress(ConnectionError):
            await visits(scope, receive, send)

    asyncio.run(once())
    return visits


def told(visits: Visits) -> seen.Visit:
    """The record as causes read it."""
    places, texts = Table(), Table()
    raw = Window(visits, Sampler(visits))._visit(visits.done[0], places, texts)
    tables = {"texts": [], "places": [], "states": []}
    look = seen.Look(1, cast("LoadResult", None), {"visits": [raw], **tables})
    look.places = [seen.Place("mail.py", 1, "mail", 1, "raise")] * len(places.keys)
    return look.visits[0]


def test_an_exception_after_a_right_answer_is_no_failed_answer() -> None:
    visit = told(asked(app, "/task"))
    assert (visit.status, visit.failed, visit.error) == (200, False, None)
    assert visit.late_error == "ConnectionError: no mail server"


@pytest.mark.parametrize("path", ["/handler", "/stream"])
def test_an_exception_in_place_of_an_answer_or_its_end_is_a_failed_one(path: str) -> None:
    visit = told(asked(app, path))
    assert visit.failed
    assert visit.error is not None
    assert (visit.error[0], visit.late_error) == ("ConnectionError: no mail server", "")


def layered() -> FastAPI:
    """An app with one more mounted in it, under a layer."""
    inner, outer = FastAPI(), FastAPI()

    @inner.get("/things/{number}")
    async def thing(number: int) -> int:
        return number

    outer.mount("/sub", inner)
    outer.router.routes += app.routes
    outer.add_middleware(GZipMiddleware)
    return outer


def compared(path: str, status: int) -> dict[str, Any]:
    whole = layered()
    (scope,) = asked(whole, path).scopes.values()
    return asyncio.run(asyncio.wait_for(compare(whole, scope, status, 0.01), 5))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("path", ["/sub/things/3", "/parts"])
def test_a_request_can_be_asked_again_without_its_layers(path: str) -> None:
    """One to a mounted app, which changes its scope; and one that looks whether its client left."""
    cpu = compared(path, 200)["cpu_us"]
    assert set(cpu) == {"whole", "bare"}
    assert len(cpu["whole"]) == len(cpu["bare"]) >= 8


def test_what_answers_otherwise_when_asked_again_is_not_compared() -> None:
    why = compared("/sub/things/3", 404)["skipped"]
    assert why == "asked again it answers with status 200 instead of 404"


def failed(message: str, cause: BaseException | None = None) -> ValueError:
    try:
        raise ValueError(message) from cause
    except ValueError as error:
        return error


@pytest.mark.timeout(10)
def test_a_chain_of_causes_may_run_in_a_circle_anywhere() -> None:
    inner = failed("inner")
    inner.__cause__ = inner
    outer = failed("outer", inner)
    visit = Visit({"path": "/", "query_string": b""})
    note_error(visit, outer)
    assert visit.error is not None
    said, steps = visit.error
    assert said == "ValueError: outer"
    assert len(steps) == 2
