"""Exceptions of a learner's app, told with the learner's own lines only."""

import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
#: What a reader did not write: the standard library, installed packages, this package ...
_FOREIGN = tuple(
    f"{folder}/"
    for folder in {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        str(_PACKAGE),
    }
)
#: ... but for the apps in it, which are lessons' own code.
_OWN = tuple(f"{_PACKAGE / folder}/" for folder in ("apps", "exercises"))

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r'\s*File "(.+)", line \d+')


def summary(error: BaseException) -> str:
    """The exception's type and message, in one line."""
    text = "".join(traceback.format_exception_only(error)).strip()
    return text.splitlines()[-1] if isinstance(error, SyntaxError) else text.splitlines()[0]


def own_lines(error: BaseException) -> str:
    """The frames of the exception that the reader wrote, as Python prints frames.

    An exception that was raised while another was handled shows where the first one came
    from as well. Where no frame is the reader's, the innermost one is shown.
    """
    parts = []
    seen: set[int] = set()
    each: BaseException | None = error
    # `raise error from error` makes a chain that ends nowhere.
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        parts.append(_as_text(_own(list(traceback.extract_tb(each.__traceback__)))))
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "\n".join(dict.fromkeys(part for part in reversed(parts) if part))


def frames_text(frames: Iterable[traceback.FrameSummary]) -> str:
    """The reader's frames among these, as Python prints frames; equal ones are shown once."""
    return _as_text(_own(list(frames)))


def own_frames_text(frames: Iterable[traceback.FrameSummary]) -> str:
    """The same, and nothing where no frame is the reader's."""
    return _as_text([frame for frame in frames if is_own(frame.filename)])


def _as_text(frames: list[traceback.FrameSummary]) -> str:
    texts = (
        text.replace(f'File "{frame.filename}"', _name(frame.filename), 1)
        for frame in frames
        for text in traceback.format_list([frame])
    )
    return "".join(dict.fromkeys(texts)).rstrip("\n")


def _name(filename: str) -> str:
    """A file as readers know it: a notebook's cells have names that only IPython can read."""
    shell = getattr(sys.modules.get("IPython.core.getipython"), "get_ipython", lambda: None)()
    cell = shell.compile.format_code_name(filename) if shell is not None else None
    return " ".join(cell) if cell else f'File "{filename}"'


def _own(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    return [frame for frame in frames if is_own(frame.filename)] or frames[-1:]


def is_own(filename: str) -> bool:
    """Whether a file is the reader's (a cell, a script, an app of the course)."""
    if filename.startswith("<frozen"):
        return False
    return filename.startswith(_OWN) or not filename.startswith(_FOREIGN)


def own_output(text: str, lines: int = 12) -> str:
    """The end of what a program printed: its last traceback, with the reader's frames only."""
    last = text[max(text.rfind(_TRACEBACK), 0) :]
    kept = []
    shown = True
    for line in last.splitlines():
        if frame := _FRAME.match(line):
            shown = is_own(frame[1])
        elif not line.startswith("    "):
            shown = True
        if shown and line.strip():
            kept.append(line)
    return "\n".join(kept[-lines:])
