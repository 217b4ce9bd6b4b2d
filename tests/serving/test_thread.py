"""Apps in a thread of this process."""

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

import course_app.serving.thread
from course_app.apps.hello import app as hello
from course_app.apps.hello import broken
from course_app.serving import (
    AppDoesNotAnswer,
    AppFailedToStart,
    ServerStopped,
    ThreadServer,
)

#: More than any step here takes, also on a busy machine: a test that waits longer hangs.
LIVENESS_SECONDS = 10.0


def with_lifespan(log: list[str], name: str) -> FastAPI:
    """An app that writes down when it starts and ends."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        log.append(f"{name} starts")
        yield
        log.append(f"{name} ends")

    return FastAPI(lifespan=lifespan)


def get_in_background(url: str) -> threading.Thread:
    """A request whose fate does not matter."""

    def request() -> None:
        try:
            httpx.get(url, timeout=LIVENESS_SECONDS)
        except httpx.HTTPError:
            return

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    return thread


def is_open(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_an_app_answers_from_a_thread_of_its_own() -> None:
    with ThreadServer(hello, name="hello") as server:
        assert httpx.get(f"{server.url}/hello").json() == {"hello": "world"}
        assert server.thread is not threading.current_thread()
        assert server.native_id != threading.get_native_id()
    assert not server.thread.is_alive()
    assert not is_open(server.port)


def test_several_servers_run_at_once_each_with_its_lifespan() -> None:
    log: list[str] = []
    with ThreadServer(with_lifespan(log, "a")) as a, ThreadServer(with_lifespan(log, "b")) as b:
        assert log == ["a starts", "b starts"]
        assert a.port != b.port
        assert a.loop is not b.loop
    assert log[2:] == ["b ends", "a ends"]


def test_the_lifespan_s_state_reaches_the_handlers() -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
        yield {"greeting": "hello"}

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def greet(request: Request) -> str:
        return str(request.state.greeting)

    with ThreadServer(app) as server:
        assert httpx.get(server.url).json() == "hello"


def test_stopping_twice_is_harmless() -> None:
    server = ThreadServer(hello)
    server.stop()
    server.stop()


def test_a_function_that_makes_the_app_is_served_too() -> None:
    with ThreadServer(lambda: hello) as server:
        assert httpx.get(f"{server.url}/hello").status_code == 200


@pytest.mark.parametrize("app", [None, "course_app.apps.hello:app", 7])
def test_what_is_no_app_is_refused_by_its_type(app: Any) -> None:
    with pytest.raises(AppFailedToStart, match=type(app).__name__):
        ThreadServer(app)


def test_a_failing_lifespan_is_told_with_its_own_lines_only() -> None:
    with pytest.raises(AppFailedToStart) as caught:
        ThreadServer(broken, name="broken")
    text = str(caught.value)
    assert '"broken" failed to start: KeyError' in text
    assert 'os.environ["COURSE_SETTING_THAT_NOBODY_MAKES"]' in text
    assert text.count("File ") == 1
    assert isinstance(caught.value.original, KeyError)


def test_a_start_that_takes_too_long_says_at_which_await() -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    threads = threading.active_count()
    with pytest.raises(AppFailedToStart, match=r"await asyncio\.Event\(\)\.wait\(\)"):
        ThreadServer(FastAPI(lifespan=lifespan), startup_timeout_seconds=0.3)
    assert threading.active_count() == threads


def test_a_start_that_blocks_says_at_which_line() -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        time.sleep(1)
        yield

    with pytest.raises(AppFailedToStart, match=r"time\.sleep\(1\)"):
        ThreadServer(FastAPI(lifespan=lifespan), startup_timeout_seconds=0.3)


def test_a_request_under_way_is_answered_before_the_stop() -> None:
    app = FastAPI()
    arrived = threading.Event()

    @app.get("/")
    async def slow() -> str:
        arrived.set()
        await asyncio.sleep(0.3)
        return "answered"

    server = ThreadServer(app)
    answers: list[str] = []
    client = threading.Thread(target=lambda: answers.append(httpx.get(server.url).json()))
    client.start()
    assert arrived.wait(LIVENESS_SECONDS)
    server.stop()
    client.join(LIVENESS_SECONDS)
    assert answers == ["answered"]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_handler_that_waits_for_ever_does_not_keep_the_server(loop: Any) -> None:
    app = FastAPI()
    arrived = threading.Event()

    @app.get("/")
    async def hang() -> None:
        arrived.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    server = ThreadServer(app, loop=loop, shutdown_timeout_seconds=1.0)
    get_in_background(server.url)
    assert arrived.wait(LIVENESS_SECONDS)
    server.stop()
    assert not server.thread.is_alive()
    assert not is_open(server.port)
    assert server.handler_errors == 0


def test_a_handler_that_spins_for_ever_is_broken_off() -> None:
    app = FastAPI()
    arrived = threading.Event()

    @app.get("/")
    async def spin() -> None:
        arrived.set()
        while True:
            pass

    server = ThreadServer(app, shutdown_timeout_seconds=0.5)
    get_in_background(server.url)
    assert arrived.wait(LIVENESS_SECONDS)
    server.stop()
    server.thread.join(LIVENESS_SECONDS)
    assert not server.thread.is_alive()
    assert not is_open(server.port)


def test_a_handler_that_blocks_loses_its_port_and_is_warned_about() -> None:
    app = FastAPI()
    arrived = threading.Event()

    @app.get("/")
    async def block() -> None:
        arrived.set()
        time.sleep(3)

    server = ThreadServer(app, name="blocking", shutdown_timeout_seconds=0.3)
    get_in_background(server.url)
    assert arrived.wait(LIVENESS_SECONDS)
    with pytest.warns(RuntimeWarning, match="blocking"):
        server.stop()
    assert not is_open(server.port)


def test_a_lifespan_that_never_ends_does_not_keep_the_server() -> None:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()

    server = ThreadServer(FastAPI(lifespan=lifespan), shutdown_timeout_seconds=1.0)
    server.stop()
    assert not server.thread.is_alive()


def test_tasks_that_the_app_left_behind_are_cancelled() -> None:
    cancelled = threading.Event()

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.task = asyncio.create_task(linger())
        await asyncio.sleep(0)
        yield

    ThreadServer(FastAPI(lifespan=lifespan)).stop()
    assert cancelled.is_set()


def test_a_coroutine_runs_on_the_server_s_loop_and_returns_its_value() -> None:
    async def running_loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    with ThreadServer(hello) as server:
        assert server.run(running_loop()) is server.loop


def test_a_coroutine_s_exception_reaches_the_caller() -> None:
    async def fail() -> None:
        raise LookupError("not here")

    with ThreadServer(hello) as server, pytest.raises(LookupError, match="not here"):
        server.run(fail())


def test_a_coroutine_that_takes_too_long_is_given_up() -> None:
    with ThreadServer(hello) as server, pytest.raises(TimeoutError):
        server.run(asyncio.sleep(60), timeout_seconds=0.05)


def test_a_stopped_server_runs_nothing() -> None:
    with ThreadServer(hello, name="gone") as server:
        pass
    with pytest.raises(ServerStopped, match="gone"):
        server.run(asyncio.sleep(0))


def test_signals_and_logging_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

    def state() -> list[Any]:
        loggers = [logging.getLogger(name) for name in names]
        return [
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
            [(log.handlers[:], log.level, log.propagate) for log in [logging.root, *loggers]],
        ]

    before = state()
    with caplog.at_level(logging.WARNING), ThreadServer(hello) as server:
        httpx.get(f"{server.url}/hello")
        assert state() == before
    assert state() == before
    assert not caplog.records


def failing_app() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def divide() -> float:
        return 1 / 0

    return app


def test_of_failing_handlers_the_first_is_shown_and_all_are_counted(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with ThreadServer(failing_app()) as server:
        assert [httpx.get(server.url).status_code for _ in range(3)] == [500, 500, 500]
    assert server.handler_errors == 3  # an error is counted after its answer has left
    text = capfd.readouterr().err
    assert text.count("ZeroDivisionError") == 1
    assert text.count("File ") == 1
    assert "return 1 / 0" in text


def test_requests_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "uvicorn.access")
    with ThreadServer(hello) as server:
        httpx.get(f"{server.url}/hello")
    assert [record for record in caplog.records if record.name == "uvicorn.access"] == []


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_answers_leave_at_once(loop: Any) -> None:
    async def no_delay() -> list[int]:
        connections = server._server.server_state.connections  # type: ignore[union-attr]
        sockets = [c.transport.get_extra_info("socket") for c in connections]
        return [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for s in sockets]

    with ThreadServer(hello, loop=loop) as server, httpx.Client() as client:
        client.get(f"{server.url}/hello")
        values = server.run(no_delay())
    assert values
    assert all(values)


def test_a_connection_that_idles_is_kept() -> None:
    with ThreadServer(hello) as server:
        assert server._config.timeout_keep_alive == 300


def test_the_caller_can_make_tasks_while_servers_run() -> None:
    async def in_caller_s_loop(get: Callable[[str], httpx.Response]) -> int:
        return (await asyncio.to_thread(get, f"{server.url}/hello")).status_code

    with ThreadServer(hello) as server:
        assert asyncio.run(in_caller_s_loop(httpx.get)) == 200


def test_a_coroutine_behind_a_blocked_loop_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(course_app.serving.thread, "BLOCKED_SECONDS", 0.2)
    app = FastAPI()
    entered, release = threading.Event(), threading.Event()

    @app.get("/")
    async def blocking() -> None:
        entered.set()
        release.wait(LIVENESS_SECONDS)

    with ThreadServer(app, name="mine") as server:
        request = get_in_background(server.url)
        assert entered.wait(LIVENESS_SECONDS)
        try:
            with pytest.raises(AppDoesNotAnswer, match=r'"mine".*blocked here:\n.*in blocking\n'):
                server.run(asyncio.sleep(0))
            assert not server.responds()
        finally:
            release.set()
        request.join(LIVENESS_SECONDS)
