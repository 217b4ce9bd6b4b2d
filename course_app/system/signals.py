"""A process that is told to end leaves in order: its `finally` and `with` blocks clean up."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

#: What tells a process to end; Ctrl-C is an interrupt.
ENDS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows, which is told that it will not do, has no terminals to close

#: After a destructor whose exception was ignored, the next chance.
_AGAIN_SECONDS = 0.01


def leave_when_told(status: int, first: Callable[[], object] | None = None) -> None:
    """Let SIGTERM raise SystemExit in the main thread, wherever it finds it.

    So does SIGHUP, the end of the terminal, unless it is ignored, as `nohup` asks for. In a
    destructor Python would write a traceback and go on: there it is sent once more.

    Args:
        status: the process's exit status.
        first: called at once, before the end begins.
    """

    told: list[int] = []

    def leave(number: int, _frame: object) -> None:
        told.append(number)
        for other in set(ENDS) - {number}:  # who ends a service may send both
            signal.signal(other, signal.SIG_IGN)
        if first is not None:
            first()
        sys.exit(status)

    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)
    sys.unraisablehook = partial(_leave_later, told)


def _leave_later(told: list[int], ignored: "sys.UnraisableHookArgs") -> None:
    if told and isinstance(ignored.exc_value, SystemExit):
        again = threading.Timer(_AGAIN_SECONDS, os.kill, [os.getpid(), told[-1]])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(ignored)
