"""``course watch``: check an answer again whenever it is saved."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from course_app.cli.answer import Answer, Handed, Which, find_answer
from course_app.cli.check import print_card
from course_app.cli.console import output, print_error
from course_app.errors import CourseError

#: A save can be several writes; this long without another one, and it is done.
_QUIET_MS = 100
#: The watcher stands before the first check, so that no save during that check is lost.
_FIRST_LOOK_MS = 200


def watch(answer: Answer, exercise: Which = None) -> None:
    """Check an answer now and after each save, until Ctrl-C.

    A save that leaves the code as it is (Jupyter keeps outputs, too) is not checked again.
    """
    handed = find_answer(answer, exercise)
    with suppress(KeyboardInterrupt):
        for _ in _versions(handed.path):
            _check(handed)
    output().print("Stopped watching.")


def _check(handed: Handed) -> None:
    output().rule(f"{handed.path.name}, {datetime.now():%H:%M:%S}", align="left")
    try:
        print_card(handed.check())
    except CourseError as error:
        print_error(error)
    output().print("Waiting for the next save; Ctrl-C ends this.", style="dim")


def _versions(path: Path) -> Iterator[None]:
    """Yields at once, and whenever the file has been saved with other code."""
    last: tuple[str, ...] | None = None
    for changed in _looks(path):
        if (changed or last is None) and path.is_file() and (code := _code(path)) != last:
            last = code
            yield


def _looks(path: Path) -> Iterator[bool]:
    """Was the file written since the last look? Watches its folder: many editors replace files."""
    import watchfiles

    try:
        for changes in watchfiles.watch(
            path.parent,
            watch_filter=lambda _change, name: Path(name).name == path.name,
            step=_QUIET_MS,
            rust_timeout=_FIRST_LOOK_MS,
            yield_on_timeout=True,
            recursive=False,
        ):
            yield bool(changes)
    except (OSError, RuntimeError) as error:  # the second where the watches are used up
        raise CourseError(
            f"{path.parent} cannot be watched ({error}). "
            "Set WATCHFILES_FORCE_POLLING=1 and try again."
        ) from error


def _code(path: Path) -> tuple[str, ...]:
    from course_app.grading.source import NotRunnable, read_cells

    try:
        return tuple(read_cells(path))
    except NotRunnable as error:  # the check says so, too
        return (str(error),)
