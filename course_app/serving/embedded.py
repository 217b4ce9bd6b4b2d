"""uvicorn's parts, fitted for life in a thread of somebody else's process.

uvicorn as a program owns its process: it configures logging, writes to standard output and
waits for ever. In a notebook each of that would disturb the kernel, so the parts that do it
are replaced here; what handles requests is uvicorn's own.
"""

import asyncio
import copy
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from course_app.serving.excerpt import own_lines, summary

#: The generator keeps its connections between windows; uvicorn's 5 s would close them.
KEEP_ALIVE_SECONDS = 300


class HandlerErrors(logging.Handler):
    """Counts what the app's handlers raise, and shows the first one, shortened.

    A handler that fails does so thousands of times under load; each traceback in the
    notebook would be one too many.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Take one error of a handler; one that was cancelled by the stop has not failed."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, Exception):
            return
        self.count += 1
        if self.count > 1:
            return
        text = f"{summary(error)}\n{own_lines(error)}" if error else record.getMessage()
        print(f"A handler failed (further failures are only counted): {text}", file=sys.stderr)


class EmbeddedConfig(uvicorn.Config):
    """The settings of a server in a thread; leaves the process's logging alone.

    Its logger belongs to it alone: it is not registered, so that no one else's configuration,
    and no other server's, reaches it.
    """

    def __init__(self, app: Callable[..., Any], *, grace_seconds: float) -> None:
        self.handler_errors = HandlerErrors()
        self.error_logger = logging.Logger("uvicorn.error", logging.WARNING)
        self.error_logger.addHandler(self.handler_errors)
        self.grace_seconds = grace_seconds
        super().__init__(
            app,
            http=EmbeddedProtocol,
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )

    def configure_logging(self) -> None:
        """Do nothing: logging belongs to the process this server is a guest of."""

    def load_app(self) -> Any:
        """The app, or what a function without parameters returns (uvicorn would warn of it)."""
        is_factory = inspect.isfunction(self.app) and not inspect.signature(self.app).parameters
        return self.app() if is_factory else self.app  # type: ignore[operator,call-arg]

    def load(self) -> None:
        """Load as uvicorn does, but with a lifespan that keeps the app's exception."""
        super().load()
        self.lifespan_class = EmbeddedLifespan


class EmbeddedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with its server's own logger; a request's path is the same."""

    def __init__(
        self,
        config: EmbeddedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = config.error_logger
        self.access_log = False


class EmbeddedLifespan(LifespanOn):
    """uvicorn's lifespan; keeps the app's exception, and waits only so long for its end."""

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self.logger = logging.Logger("uvicorn.lifespan", logging.CRITICAL)
        self.error: BaseException | None = None
        self.hung = False
        self._app = config.loaded_app
        self._grace_seconds = config.grace_seconds
        self.config = copy.copy(config)
        self.config.loaded_app = self._watched

    async def shutdown(self) -> None:
        """Let the app close what it opened; an app that hangs is left behind."""
        try:
            await asyncio.wait_for(super().shutdown(), self._grace_seconds)
        except TimeoutError:
            self.should_exit = self.hung = True

    async def _watched(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            self.error = error
            raise


class EmbeddedServer(uvicorn.Server):
    """uvicorn's server; says when it listens, and stops at once when told."""

    config: EmbeddedConfig
    lifespan: EmbeddedLifespan

    def __init__(self, config: EmbeddedConfig, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._wake = asyncio.Event()

    def ask_to_stop(self) -> None:
        """Leave the main loop; to be called on the server's loop."""
        self.should_exit = True
        self._wake.set()

    async def startup(self, sockets: Any = None) -> None:
        """Start as uvicorn does, then tell the thread that waits for it."""
        await super().startup(sockets)
        self._on_started()

    async def main_loop(self) -> None:
        """Renew the date header each second until told to stop (uvicorn wakes each 0.1 s).

        A plain timer, because ``wait_for`` would make a task each second, and tasks are counted.
        """
        loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            timer = loop.call_later(1.0, self._wake.set)
            await self._wake.wait()
            timer.cancel()
            self._wake.clear()

    async def shutdown(self, sockets: Any = None) -> None:  # noqa: ARG002
        """Close connections, give requests their grace, cancel the rest, end the lifespan."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._finish_requests()
        await self.lifespan.shutdown()

    async def _finish_requests(self) -> None:
        """Wait for requests, cancel those that hang, and drop what is still connected."""
        grace = self.config.grace_seconds
        hung = await _wait(set(self.server_state.tasks), grace)
        for task in hung:
            task.cancel("the server stops")
        await _wait(hung, grace)
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.close()
        await asyncio.sleep(0)


async def _wait(tasks: set[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """Wait so long for tasks; returns those that still run."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()
