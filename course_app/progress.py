"""One line that says what is going on, and at the end what was done.

In a notebook it is one display that is updated in place; in a terminal, one line that is
written over; elsewhere only the last state is printed. It is touched between windows only:
a busy main thread would take the interpreter from the server.
"""

import sys
import time
from types import TracebackType
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display


class Stopped(KeyboardInterrupt):
    """An interrupt that was seen to: all that the work had started has ended."""

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: where it was interrupted, deep in libraries, helps nobody.
        return ["Stopped; what was started for it has ended."]


class ProgressLine:
    """A progress line; call it with a text, and leave the context for the clean last line.

    An interrupt leaves it as :class:`Stopped`. Make it the outermost context of what it tells of.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._handle: Any = None
        self._written = 0
        self._notebook = getattr(get_ipython(), "kernel", None) is not None

    def __enter__(self) -> "ProgressLine":
        return self

    def __call__(self, text: str) -> None:
        """Show ``text`` after the name of what is being done."""
        self._show(f"{self._what}: {text} …")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = time.monotonic() - self._began
        state = "done in" if kind is None else "stopped after"
        self._show(f"{self._what}: {state} {seconds:.1f} s", last=True)
        if kind is KeyboardInterrupt:
            raise Stopped from None

    def _show(self, text: str, *, last: bool = False) -> None:
        if self._notebook:
            self._update(text)
        elif sys.stderr.isatty():
            # Spaces and no control sequence: a terminal's log shows those as text.
            print(f"\r{text:<{self._written}}", end="\n" * last, file=sys.stderr, flush=True)
            self._written = len(text)
        elif last:
            print(text, file=sys.stderr, flush=True)

    def _update(self, text: str) -> None:
        line = _Line(text)
        if self._handle is None:
            self._handle = display(line, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(line)


class _Line:
    def __init__(self, text: str) -> None:
        self._text = text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self._text}
