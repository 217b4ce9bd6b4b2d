"""The event loops that servers run on, kept as they are when asyncio has been patched.

``nest_asyncio2.apply()`` rewrites the methods of asyncio's own loop class for the whole process and
for ever, and up to Python 3.13 it replaces tasks and futures, written in C, by those written in
Python. uvloop takes what it needs from asyncio when it is imported, so importing it here, before
anything can be patched, keeps its loops whole. asyncio's loop gets its original parts back below.
"""

import _asyncio
import asyncio
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal

import uvloop

LoopName = Literal["uvloop", "asyncio"]


def _c_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    **options: Any,
) -> asyncio.Future[Any]:
    task: asyncio.Future[Any] = _asyncio.Task(coroutine, loop=loop, **options)
    return task


class PlainLoop(asyncio.SelectorEventLoop):
    """asyncio's loop with its original methods, whatever has been patched into its class."""

    run_forever = BaseEventLoop.run_forever
    run_until_complete = BaseEventLoop.run_until_complete
    _run_once = BaseEventLoop._run_once  # type: ignore[attr-defined]
    _check_running = BaseEventLoop._check_running  # type: ignore[attr-defined]

    def create_future(self) -> asyncio.Future[Any]:
        """A future written in C, as unpatched asyncio makes them."""
        future: asyncio.Future[Any] = _asyncio.Future(loop=self)
        return future


def new_loop(name: LoopName) -> asyncio.AbstractEventLoop:
    """A new event loop, to be run by another thread: the caller's may run a loop already.

    Raises:
        ValueError: ``name`` is neither "uvloop" nor "asyncio".
    """
    makers: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "uvloop": uvloop.new_event_loop,
        "asyncio": PlainLoop,
    }
    if name not in makers:
        raise ValueError(f'loop is "uvloop" or "asyncio", not {name!r}')
    return makers[name]()


def keep_c_tasks() -> None:
    """On the server's loop: let its tasks be written in C, also when uvloop was imported late."""
    if not isinstance(asyncio.current_task(), _asyncio.Task):
        asyncio.get_running_loop().set_task_factory(_c_task)
