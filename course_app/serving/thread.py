"""An ASGI app served by uvicorn in a thread of this process: a notebook's own objects answer.

What a thread cannot survive: an app that calls ``os._exit`` or crashes the interpreter takes
the process along, and what it prints lands where the process prints. For apps that are not
trusted there is :class:`course_app.serving.ProcessServer`.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import socket
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from course_app.serving.embedded import EmbeddedConfig, EmbeddedServer
from course_app.serving.errors import AppDoesNotAnswer, ServerStopped
from course_app.serving.excerpt import own_lines, summary
from course_app.serving.listener import LOOPBACK, open_listener
from course_app.serving.loops import LoopName, keep_c_tasks, new_loop
from course_app.serving.startup import blocks, failed, require_asgi, too_slow, waits, where_it_waits
from course_app.system import threads

T = TypeVar("T")

#: A loop that runs nothing for so long is blocked: no request waits longer for its answer.
BLOCKED_SECONDS = 10.0
#: What a loop that was waited for already still gets to show that it runs.
_LAST_CHANCE_SECONDS = 0.5

_running: "weakref.WeakSet[ThreadServer]" = weakref.WeakSet()


class ThreadServer:
    """An app on ``http://127.0.0.1:PORT``, served by a thread with an event loop of its own.

    Starts when made. Signals, logging and the caller's event loop are left alone; several
    servers live side by side, each with its app's lifespan. Use it as a context manager, or
    call :meth:`stop`.

    Args:
        listener: a socket that listens already; it becomes the server's.

    Raises:
        AppFailedToStart: the app is no ASGI app, its lifespan raised, or it took too long.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        name: str = "app",
        loop: LoopName = "uvloop",
        listener: socket.socket | None = None,
        startup_timeout_seconds: float = 10.0,
        shutdown_timeout_seconds: float = 5.0,
    ) -> None:
        require_asgi(app, name)
        self.name = name
        self.app = app
        self.loop: asyncio.AbstractEventLoop = new_loop(loop)
        self._patience_seconds = shutdown_timeout_seconds
        # Four stages of a stop share the time: requests, cancelled ones, lifespan, other tasks.
        self._config = EmbeddedConfig(app, grace_seconds=shutdown_timeout_seconds / 5)
        self._listener = listener or open_listener()
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._server: EmbeddedServer | None = None
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._stopping = False
        self._blocked = False
        # A daemon: its threads (those of `def` handlers too) inherit it, so that a handler
        # that hangs cannot keep the interpreter from ending.
        self.thread = threading.Thread(target=self._run, name=f"server of {name}", daemon=True)
        self.thread.start()
        _running.add(self)
        self._wait_until_started(startup_timeout_seconds)

    @property
    def native_id(self) -> int:
        """The operating system's number of the server's thread."""
        assert self.thread.native_id is not None
        return self.thread.native_id

    @property
    def handler_errors(self) -> int:
        """How many requests ended with an exception that the app did not handle."""
        return self._config.handler_errors.count

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_seconds: float | None = None) -> T:
        """Run a coroutine on the server's loop, wait for it, and return its result.

        Raises:
            ServerStopped: the server does not run any more.
            TimeoutError: it took longer than ``timeout_seconds``.
            AppDoesNotAnswer: a handler blocks the loop, so the coroutine does not get on.
            RuntimeError: called from the server's own thread, which would wait for itself.
        """
        if threading.current_thread() is self.thread:
            coroutine.close()
            raise RuntimeError("the server's thread cannot wait for itself: await the coroutine")
        if self._stopping or not self.thread.is_alive():
            coroutine.close()
            raise ServerStopped(f'The server of "{self.name}" has been stopped; start a new one.')
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return self._result(future, timeout_seconds)
        except (KeyboardInterrupt, concurrent.futures.TimeoutError):
            future.cancel()
            raise

    def responds(self) -> bool:
        """Whether the event loop runs anything just now."""
        beat = threading.Event()
        self._call_soon(beat.set)
        return beat.wait(_LAST_CHANCE_SECONDS)

    def silence(self, what: str) -> AppDoesNotAnswer:
        """The error for requests without an answer: names the reader's lines that wait or block.

        Args:
            what: is not answered, as the end of a sentence.
        """
        self._blocked = not self.responds()
        if self._blocked:
            return blocks(self.name, what, self.thread)
        return waits(self.name, what, self.loop)

    def stop(self) -> None:
        """Stop the server; does nothing when it has stopped already.

        Requests get some time to finish, the lifespan some to end, and the whole never takes
        longer than ``shutdown_timeout_seconds``. A thread that does not react even then is
        left behind without its port, with a warning.
        """
        if self._stopping:
            return
        self._stopping = True
        _running.discard(self)
        self._call_soon(self._ask_to_stop)
        self.thread.join(0.0 if self._blocked else self._patience_seconds)
        if self.thread.is_alive():
            self._abandon()
        self._tell_of_the_end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt) and not self.responds():
            self._patience_seconds = 0.0  # whoever interrupts has waited already
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._stopping else self.url
        return f"<ThreadServer {self.name}: {state}>"

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._close()
            self._started.set()

    async def _serve(self) -> None:
        keep_c_tasks()
        self._server = EmbeddedServer(self._config, on_started=self._started.set)
        if not self._stopping:
            await self._server.serve(sockets=[self._listener])

    def _ask_to_stop(self) -> None:
        """On the loop: end the server, or the start-up if the app still hangs in it."""
        if self._server is not None and self._server.started:
            self._server.ask_to_stop()
        else:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()

    def _result(self, future: "concurrent.futures.Future[T]", timeout_seconds: float | None) -> T:
        while timeout_seconds is None:
            try:
                return future.result(BLOCKED_SECONDS)
            except concurrent.futures.TimeoutError:
                if future.done():  # the coroutine's own
                    raise
                if not self.responds():
                    future.cancel()
                    what = f"nothing was run for {BLOCKED_SECONDS:g} s"
                    raise self.silence(what) from None
        return future.result(timeout_seconds)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self.loop.call_soon_threadsafe(callback)

    def _close(self) -> None:
        with contextlib.suppress(BaseException):
            self.loop.run_until_complete(self._cancel_rest())
        self._listener.close()
        with contextlib.suppress(BaseException):
            self.loop.close()
        asyncio.set_event_loop(None)

    async def _cancel_rest(self) -> None:
        """End tasks that the app started itself, and its asynchronous generators."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            _, deaf = await asyncio.wait(rest, timeout=self._config.grace_seconds)
            for task in deaf:  # asyncio would complain of each when it is collected
                task._log_destroy_pending = False  # type: ignore[attr-defined]
        await self.loop.shutdown_asyncgens()

    def _wait_until_started(self, timeout_seconds: float) -> None:
        try:
            in_time = self._started.wait(timeout_seconds)
        except KeyboardInterrupt:
            self.stop()
            raise
        if in_time and self._server is not None and self._server.started:
            return
        if in_time:
            error = getattr(getattr(self._server, "lifespan", None), "error", None)
            problem = failed(self.name, error or self._failure)
        else:
            where = where_it_waits(self.thread, self.loop)
            self._blocked = not self.responds()
            problem = too_slow(self.name, timeout_seconds, where, self._blocked)
        self.stop()
        raise problem from None

    def _tell_of_the_end(self) -> None:
        """Show what went wrong in the app's shutdown; nobody waits for that, so it is no error."""
        if self._server is None or not self._server.started:
            return
        lifespan = self._server.lifespan
        if isinstance(lifespan.error, Exception):
            said = f"failed: {summary(lifespan.error)}\n{own_lines(lifespan.error)}"
        elif lifespan.hung:
            said = f"did not end within {self._config.grace_seconds:g} s and was left."
        else:
            return
        print(f'The shutdown of "{self.name}" {said}', file=sys.stderr)

    def _abandon(self) -> None:
        """Close the port under a thread that hangs, and ask it to end when it runs Python again."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        threads.ask_to_end(self.thread)
        self.thread.join(0.2)
        if self.thread.is_alive() and not self._blocked:  # else that was said
            warnings.warn(
                f'The app "{self.name}" blocks its event loop and could not be stopped; '
                "restart the kernel if it keeps the machine busy.",
                RuntimeWarning,
                stacklevel=3,
            )


@atexit.register
def _stop_all() -> None:
    for server in list(_running):
        server.stop()
