"""Apps that go wrong in every way: each ends in a sentence, and nothing is left running."""

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from course_app.examine import discovery, ward
from course_app.examine.findings import Cause, Report
from course_app.examine.session import Wishes, learn, run
from course_app.examine.target import CannotExamine, parse_target

HEAD = """
import asyncio, os, signal, sys, threading, time
from contextlib import asynccontextmanager
from fastapi import FastAPI, HTTPException
"""
HANGS_AT_IMPORT = "time.sleep(3600)"
ENDS_AT_IMPORT = "os._exit(7)"
CRASHES_AT_START = """
@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database at db.example:5432")
    yield
app = FastAPI(lifespan=lifespan)
"""
HANGS_AT_START = """
@asynccontextmanager
async def lifespan(app):
    await asyncio.sleep(3600)
    yield
app = FastAPI(lifespan=lifespan)
"""
EXITS_IN_A_HANDLER = """
app = FastAPI()
@app.get("/a")
async def a():
    print("I have had enough", flush=True)
    os._exit(3)
"""
BLOCKS_FOR_EVER = """
app = FastAPI()
@app.get("/a")
async def a():
    while True:
        time.sleep(1)
"""
FAILS_ALWAYS = """
app = FastAPI()
@app.get("/a")
async def a():
    raise ValueError("the same every time")
"""
NO_GET_ROUTE = """
app = FastAPI()
@app.post("/a")
async def a(): ...
"""
PRINTS_AT_IMPORT = """
for _ in range(100):
    sys.stdout.write("x" * 1_000_000)
raise RuntimeError("after all that")
"""
STAYS_ALIVE = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=time.sleep, args=(3600,)).start()
if os.fork() == 0:
    os.setsid()
    time.sleep(3600)
raise RuntimeError("no")
"""


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_ANSWER_SECONDS", 1.0)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    marked = f"hostile-{os.getpid()}"
    os.environ["HOSTILE_MARK"] = marked
    yield
    del os.environ["HOSTILE_MARK"]
    _, alive = psutil.wait_procs(
        [c for c in psutil.Process().children(recursive=True) if c.pid not in before], timeout=5
    )
    assert not alive
    assert not [process for process in psutil.process_iter() if _has_mark(process, marked)]


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("HOSTILE_MARK") == mark
    except psutil.Error:
        return False


def write(folder: Path, text: str) -> str:
    file = folder / "hostile.py"
    file.write_text(HEAD + textwrap.dedent(text))
    return f"{file}:app"


# One that hangs, one that ends, one that blocks, and one with nothing to ask by default.
@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(HANGS_AT_IMPORT, "did not start within", marks=pytest.mark.slow),
        pytest.param(HANGS_AT_START, "did not start within", marks=pytest.mark.slow),
        pytest.param(ENDS_AT_IMPORT, "ended with exit status 7", marks=pytest.mark.slow),
        pytest.param(CRASHES_AT_START, "no database at db.example", marks=pytest.mark.slow),
        (EXITS_IN_A_HANDLER, "I have had enough"),
        (BLOCKS_FOR_EVER, "GET /a was not examined: .* within 1 s"),
        pytest.param(
            FAILS_ALWAYS, "GET /a was not examined: it answers 500", marks=pytest.mark.slow
        ),
        (NO_GET_ROUTE, "no GET route"),
        pytest.param(PRINTS_AT_IMPORT, "after all that", marks=pytest.mark.slow),
        pytest.param(STAYS_ALIVE, "RuntimeError: no", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    if text in (HANGS_AT_IMPORT, HANGS_AT_START):
        monkeypatch.setattr(ward, "START_SECONDS", 1.5)
    with pytest.raises(CannotExamine, match=says) as raised:
        learn(parse_target(write(tmp_path, text)), {}, Wishes())
    assert "Traceback" not in str(raised.value).partition("printed last")[0]


@pytest.fixture
def alone() -> None:
    """An examination to its end measures: it has the cores for itself."""


def measured(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.slow(pytest.mark.usefixtures("alone")(test))


def examined(folder: Path, text: str, path: str) -> Report:
    wishes = Wishes(gets=(path,))
    return run(parse_target(write(folder, text)), {}, wishes=wishes, seconds=25)[0]


@measured
@pytest.mark.parametrize("text", [EXITS_IN_A_HANDLER, BLOCKS_FOR_EVER, FAILS_ALWAYS])
def test_what_is_asked_and_never_answers_is_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(CannotExamine, match=r"\.$|printed last"):
        examined(tmp_path, text, "/a")


#: An app that ends once more than twenty wait in it, in one way or another.
ENDS = """
app = FastAPI()
busy = 0
@app.get("/a")
async def a():
    global busy
    busy += 1
    if busy > 20 and %s:
        %s
    await asyncio.sleep(0.02)
    busy -= 1
    return {}
"""
OBSERVED = "asyncio.get_running_loop().get_task_factory() is not None"


@measured
@pytest.mark.parametrize("way", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_an_app_that_ends_in_the_middle_is_a_finding(tmp_path: Path, way: str) -> None:
    report = examined(tmp_path, ENDS % ("True", way), "/a")
    assert report.partial
    assert Cause.FAILS_UNDER_LOAD in {finding.cause for finding in report.confirmed}


@measured
def test_what_ends_only_while_it_is_observed_is_not_confirmed(tmp_path: Path) -> None:
    report = examined(tmp_path, ENDS % (OBSERVED, "os._exit(3)"), "/a")
    found = {finding.cause: finding.confirmed for finding in report.findings}
    assert found[Cause.FAILS_UNDER_LOAD] is False


@measured
def test_what_crashes_only_while_it_is_observed_is_our_fault(tmp_path: Path) -> None:
    way = "os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(CannotExamine, match="not the app's"):
        examined(tmp_path, ENDS % (OBSERVED, way), "/a")


@measured
def test_an_app_that_prints_a_lot_is_examined_all_the_same(tmp_path: Path) -> None:
    text = """
    app = FastAPI()
    left = 100
    @app.get("/a")
    async def a():
        global left
        if left:
            left -= 1
            sys.stdout.write("x" * 1_000_000)
        return {}
    """
    assert not examined(tmp_path, text, "/a").partial
