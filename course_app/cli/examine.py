"""``course examine``: an app of one's own."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from course_app.cli.console import Json, output, print_error, print_json, status
from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.examine.engine import Progress
    from course_app.examine.findings import Report
    from course_app.examine.session import Wishes

App = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help="FILE.py:NAME or package.module:NAME, an app or what makes it."
    ),
]
Gets = Annotated[
    list[str] | None,
    typer.Option("--get", metavar="PATH", help='Ask this, such as "/users/{id}"; repeat.'),
]
Values = Annotated[
    list[str] | None,
    typer.Option("--values", metavar="NAME=1..1000", help="Or NAME=A,B,C; for --get; repeat."),
]
Har = Annotated[Path | None, typer.Option("--har", metavar="FILE", help="Ask what a HAR holds.")]
Log = Annotated[
    Path | None, typer.Option("--log", metavar="FILE", help="Ask what an access log holds.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME: VALUE", help="Send it with each request; repeat."),
]
Against = Annotated[
    str, typer.Option("--against", metavar="TARGET", help="Another version: what changes with it?")
]
FailOn = Annotated[
    str, typer.Option("--fail-on", metavar="WHICH", help="confirmed: only such a finding fails.")
]
Page = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write the report as a page, too.")
]
Seconds = Annotated[
    float,
    typer.Option(
        "--seconds", min=0.0, max=600.0, help="About how long a version takes; 0: by its routes."
    ),
]

_HEALTHY, _FINDINGS, _NOT_EXAMINED = 0, 1, 2


def examine(
    target: App,
    get: Gets = None,
    values: Values = None,
    har: Har = None,
    log: Log = None,
    header: Headers = None,
    against: Against = "",
    fail_on: FailOn = "any",
    html: Page = None,
    seconds: Seconds = 0.0,
    json: Json = False,
) -> None:
    """Examine an app of your own: what makes it slow, where, and what to do about it.

    It is asked by ROUTES beside it, by --get, --har or --log, or else by the GET routes of its
    OpenAPI. Ctrl-C ends it early, with what is known by then. Exit status: 0 healthy, 1 findings,
    2 it could not be examined.
    """
    try:
        if fail_on not in ("any", "confirmed"):
            raise CourseError(f"--fail-on {fail_on}: choose from any and confirmed.")
        report, other = _examined(
            target, against, _wishes(get, values, har, log, header), seconds, quiet=json
        )
        page = _written(report, other, html)
    except CourseError as error:
        _give_up(error, json)
    except Exception as error:  # whatever else: it must not look like findings
        known = CourseError(f"The examination itself failed: {type(error).__name__}: {error}")
        _give_up(known, json)
    if json:
        described = report.model_dump(mode="json")
        print_json(described | ({"other": other.model_dump(mode="json")} if other else {}))
    else:
        from course_app.examine.terminal import rendered

        output().print(rendered(report, other))
        if page is not None:
            output().print(f"\nPage: {page}", soft_wrap=True, markup=False)
    raise typer.Exit(_exit_status(report, fail_on))


def _exit_status(report: "Report", fail_on: str) -> int:
    if report.confirmed or (report.findings and fail_on == "any"):
        return _FINDINGS
    return _NOT_EXAMINED if report.partial else _HEALTHY


def _give_up(error: CourseError, json: bool) -> NoReturn:
    if json:
        print_json({"error": str(error)})
    print_error(error)
    raise typer.Exit(_NOT_EXAMINED) from None


def _wishes(
    get: list[str] | None,
    values: list[str] | None,
    har: Path | None,
    log: Path | None,
    header: list[str] | None,
) -> "Wishes":
    from course_app.examine.session import Wishes

    headers = {}
    for text in header or ():
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise CourseError(f'--header {text!r}: write "NAME: VALUE".')
        headers[name.strip()] = value.strip()
    return Wishes(tuple(get or ()), tuple(values or ()), har, log, headers)


def _examined(
    target: str, against: str, wishes: "Wishes", seconds: float, *, quiet: bool
) -> "tuple[Report, Report | None]":
    from course_app.examine.session import lab_services, run
    from course_app.examine.target import parse_target

    first, other = parse_target(target), parse_target(against) if against else None
    stop = threading.Event()
    with _interrupts(stop), _progress(quiet) as progress, lab_services() as services:
        return run(
            first,
            services,
            wishes=wishes,
            against=other,
            progress=progress,
            stop=stop,
            seconds=seconds,
        )


@contextmanager
def _interrupts(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C asks for the report so far, the second ends it."""

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        status().print("Stopping; what is known so far follows. Ctrl-C again ends it at once.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(quiet: bool) -> Iterator["Progress | None"]:
    """A line with what goes on and the time that is left; redrawn once a second at most."""
    if quiet:
        yield None
        return
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("elapsed, about {task.fields[left]} left"),
    )
    bar = Progress(*columns, console=status(), refresh_per_second=1, transient=True)
    with bar:
        task = bar.add_task("starting", total=1.0, left="a minute")

        def tell(what: str, done: float, left: float) -> None:
            remaining = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
            bar.update(task, description=escape(what), completed=done, left=remaining)

        yield tell


def _written(report: "Report", other: "Report | None", file: Path | None) -> Path | None:
    if file is None:
        return None
    from course_app.examine.page import write_page

    try:
        return write_page(report, file, other)
    except OSError as error:
        raise CourseError(f"{file} cannot be written: {error.strerror}.") from error
