"""The ``course`` command: one module for each of its subcommands.

A subcommand is a function; its docstring is its help. Whatever is slow to import is imported
inside of the functions, so that ``course --help`` answers at once.
"""

import sys

import typer

from course_app.cli.bench import bench
from course_app.cli.build import build
from course_app.cli.check import check
from course_app.cli.console import INTERRUPTED, print_error, refusal, say_what_can_be_said
from course_app.cli.doctor import doctor
from course_app.cli.examine import examine
from course_app.cli.grade import grade
from course_app.cli.hint import hint
from course_app.cli.lab import lab
from course_app.cli.machines import machines
from course_app.cli.nbgrader import nbgrader
from course_app.cli.prepare import prepare
from course_app.cli.progress import progress
from course_app.cli.reset import reset
from course_app.cli.run import run
from course_app.cli.site import site
from course_app.cli.verify import verify
from course_app.cli.watch import watch
from course_app.errors import CourseError
from course_app.system import homes
from course_app.system.signals import leave_when_told

# With it, reading a notebook's format takes a second more: jsonschema would build a grammar of
# international addresses, which no notebook is checked for.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

#: What a shell reports for a command that was told to end.
_TERMINATED = 143

app = typer.Typer(
    name="course",
    help="FastAPI performance, measured: the lessons, the exercises, this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(lab, check, watch, hint, progress, reset),  # a learner's
    *(run, examine, doctor, prepare),
    *(grade, nbgrader, machines),  # an instructor's
    *(build, site, verify, bench),  # a maintainer's
):
    app.command()(command)


def main() -> None:
    """Run the command line. A CourseError ends it with one clear sentence and status 1.

    So does a file that the system refuses: nobody is helped by where in the code that was.
    """
    say_what_can_be_said()
    # Ended from outside, a command leaves in order too: its folders and servers go with it.
    leave_when_told(_TERMINATED)
    try:
        homes.provide()
        app()
    except CourseError as error:
        print_error(error)
        sys.exit(1)
    except OSError as error:
        if (refused := refusal(error)) is None:
            raise
        print_error(refused)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
