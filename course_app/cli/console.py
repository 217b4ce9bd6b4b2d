"""What the subcommands share: the lessons argument, where things are printed, and errors."""

import errno
import io
import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from course_app.errors import CourseError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Lessons = Annotated[
    list[str] | None,
    typer.Argument(metavar="NN", help="Lessons, by number or slug; all if none is named."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs, nothing else.")]
CellLimit = Annotated[
    float, typer.Option("--cell-timeout", metavar="SECONDS", help="The longest a cell may take.")
]


#: What a shell reports for a command that was interrupted.
INTERRUPTED = 130


def say_what_can_be_said() -> None:
    """Let output go on where its encoding lacks a sign, such as the ✓ in Latin-1: it shows a ?."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def output() -> "Console":
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False)


def status() -> "Console":
    """Where progress and errors go, so that results can be piped."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_error(error: Exception) -> None:
    """The error's sentence. It is not wrapped: a program may look for it."""
    status().print(f"[bold red]Error:[/] {_escaped(error)}", soft_wrap=True)


def refusal(error: OSError) -> CourseError | None:
    """What the system said of a file, in a sentence; None where it is about something else."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f" ({error.filename})" if error.filename else ""
        return CourseError(f"The disk is full{place}. Make room and try again.")
    if error.filename is None:
        return None
    denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    advice = "See who may read and write there" if denied else "Put that right"
    return CourseError(f"{error.filename}: {error.strerror}. {advice}, and try again.")


def print_json(data: Mapping[str, Any]) -> None:
    """JSON on standard output, in signs that every encoding has: no letter of a name is lost."""
    print(json.dumps(_finite(data), indent=1, allow_nan=False))


def _finite(value: Any) -> Any:
    """JSON knows neither Infinity nor NaN: they are null."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def progress_bar() -> "Progress":
    """A bar with the remaining time that keeps out of a measurement's way."""
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=status(),
        # Drawing more often would take time from the servers that are being measured.
        refresh_per_second=1,
        transient=True,
    )


def _escaped(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
