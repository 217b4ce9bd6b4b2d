"""``course build``: the notebook trees from content/."""

from typing import TYPE_CHECKING, Annotated

import typer

from course_app.cli.console import CellLimit, Lessons, output, print_error, progress_bar, status
from course_app.errors import CourseError

if TYPE_CHECKING:
    from rich.progress import Progress

    from course_app.authoring.build import Planned
    from course_app.authoring.contents import Course

Execute = Annotated[bool, typer.Option("--execute", help="Run the lessons; keep their outputs.")]
Check = Annotated[bool, typer.Option("--check", help="Write nothing; fail if anything differs.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what was edited by hand, too.")]


def build(
    lessons: Lessons = None,
    execute: Execute = False,
    check: Check = False,
    force: Force = False,
    cell_timeout: CellLimit = 120.0,
) -> None:
    """Build notebooks/, exercises/ and solutions/ from content/.

    Outputs stay as long as a lesson's code stays the same. A notebook that was edited by hand
    is kept unless --force is given.
    """
    from course_app.authoring.build import Outcome, edited, plan, write
    from course_app.authoring.contents import find_course, read_claims
    from course_app.authoring.readme import write_results
    from course_app.authoring.reference import write_reference

    if check and (execute or force):
        raise CourseError("--check writes nothing: leave out --execute and --force.")
    course = find_course()
    read_claims(course)
    if check:
        _check(course, lessons)
        return
    planned = plan(course, course.select(lessons or []))
    if not planned:
        output().print("Nothing to build: content/ holds no text for these lessons yet.")
        return
    if execute:
        ready = [x for x in planned if force or not edited(x)]
        done = _executed(ready, course, cell_timeout)
        planned = [*done, *(x for x in planned if x not in ready)]
        failed = len(done) < len(ready)
    else:
        failed = False
    for notebook in planned:
        outcome = write(notebook, force=force)
        failed = failed or outcome is Outcome.KEPT
        output().print(f"{notebook.name}: {outcome.value}", soft_wrap=True)
    if write_results(course):
        output().print("README.md: its table of results was written")
    if write_reference(course):
        output().print("docs/lab.md: written from the docstrings of the lab")
    if failed:
        raise typer.Exit(1)


def _check(course: "Course", lessons: list[str] | None) -> None:
    from course_app.authoring.build import differences

    found = differences(course, course.select(lessons) if lessons else None)
    for difference in found:
        output().print(difference, soft_wrap=True)
    if found:
        raise typer.Exit(1)
    output().print("The notebooks match content/.")


def _executed(planned: "list[Planned]", course: "Course", limit: float) -> "list[Planned]":
    """Run the lessons among the planned notebooks; those that fail are reported and left out."""
    from course_app.authoring.contents import LESSONS

    done = []
    with progress_bar() as bar:
        for notebook in planned:
            if notebook.tree != LESSONS:
                done.append(notebook)
            elif (filled := _filled(notebook, course, limit, bar)) is not None:
                done.append(filled)
    return done


def _filled(
    notebook: "Planned", course: "Course", limit: float, bar: "Progress"
) -> "Planned | None":
    from course_app.authoring.build import executed
    from course_app.authoring.execute import CellFailed

    task = bar.add_task(notebook.lesson.slug)
    try:
        return executed(
            notebook, course, limit, lambda done, all_: bar.update(task, completed=done, total=all_)
        )
    except CourseError as error:
        print_error(error)
        if isinstance(error, CellFailed):
            _print_cell(error.source, error.details)
        return None


def _print_cell(source: str, details: str) -> None:
    """A failed cell and the end of its traceback."""
    from rich.panel import Panel
    from rich.syntax import Syntax
    from rich.text import Text

    status().print(Panel(Syntax(source, "python", theme="ansi_dark"), title="the cell"))
    if details:
        status().print(Text(details), soft_wrap=True)
