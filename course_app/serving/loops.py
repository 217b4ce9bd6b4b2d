"""The event loops that servers run on, kept as they are when asyncio has been patched.

``nest_asyncio.apply()`` replaces asyncio's tasks and futures, written in C, by those written in
Python, for the whole process and for ever, and rewrites the methods of asyncio's own loop class.
uvloop takes what it needs from asyncio when it is imported, so importing it here, before anything
can be patched, keeps its loops whole. asyncio's loop gets its original parts back below.
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
    """A new event loop whose tasks are asyncio's own, written in C.

    Raises:
        ValueError: ``name`` is neither "uvloop" nor "asyncio".
    """
    makers: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "uvloop": uvloop.new_event_loop,
        "asyncio": PlainLoop,
    }
    if name not in makers:
        raise ValueError(f'loop is "uvloop" or "asyncio", not {name!r}')
    loop = makers[name]()
    if not _makes_c_tasks(loop):
        loop.set_task_factory(_c_task)
    return loop


def _makes_c_tasks(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop makes tasks in C, tried with a coroutine that is never run."""
    task = loop.create_task(_nothing())
    task.cancel()
    is_c = isinstance(task, _asyncio.Task)
    loop.run_until_complete(asyncio.wait([task]))
    return is_c


async def _nothing() -> None: ...
