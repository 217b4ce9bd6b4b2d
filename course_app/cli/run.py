"""``course run``: execute lessons and report this machine's verdicts."""

from collections.abc import Sequence
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from course_app.cli.console import (
    INTERRUPTED,
    CellLimit,
    Json,
    Lessons,
    output,
    print_error,
    print_json,
    progress_bar,
    status,
)
from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.contents import Course, Lesson
    from course_app.authoring.report import Report
    from course_app.authoring.run import LessonRun

Keep = Annotated[
    bool, typer.Option("--keep", help="Leave the results of other lessons in results.json.")
]
Core = Annotated[
    bool, typer.Option("--core", help="Leave out the lessons' optional ends, Going further.")
]

#: About what the report of all lessons takes.
_REPORT_BYTES = 10_000_000


def run(
    lessons: Lessons = None,
    json: Json = False,
    keep: Keep = False,
    core: Core = False,
    cell_timeout: CellLimit = 120.0,
) -> None:
    """Execute lessons one after another; writes index.html and results.json to build/report/.

    A lesson that fails is shown as failed, and the rest goes on. Leave the machine alone
    meanwhile: the lessons measure. `course machines` lays results.json beside other machines'.
    Ctrl-C reports on the lessons that ended until then.
    """
    from course_app.authoring.contents import find_course
    from course_app.authoring.pages import write_report
    from course_app.authoring.report import make_report

    course = find_course()
    chosen = [x for x in course.select(lessons or []) if course.source("lessons", x).is_file()]
    if not chosen:
        raise CourseError("Nothing to run: content/lessons holds no text for these lessons yet.")
    _require_writable(course)
    runs = _run(course, chosen, cell_timeout, core)
    interrupted = len(runs) < len(chosen)
    report = make_report(course, runs)
    if not json:
        _print_summary(report)  # whatever becomes of the files
    saved = _save_results(report, keep or interrupted)  # first: it is what an hour was spent on
    index = write_report(report)
    if json:
        print_json({**report.to_dict(), "report": str(index)})
    else:
        output().print(f"Report: {index}", soft_wrap=True)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if not saved or any(run.failure for run in runs):
        raise typer.Exit(1)


def _require_writable(course: "Course") -> None:
    """Ask before the lessons run, not after, whether their results can be kept.

    Raises:
        OSError: nothing can be written there.
    """
    from course_app.authoring.run import report_folder

    folder = report_folder(course)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    with TemporaryFile(dir=there) as file:
        file.write(bytes(_REPORT_BYTES))  # a full disk refuses no empty file


def _save_results(report: "Report", keep: bool) -> bool:
    """False where the results to be kept do not fit: they stay, and the new ones lie beside."""
    from course_app.authoring.results import RESULTS_FILE, read_results, results_of
    from course_app.authoring.run import report_folder
    from course_app.classroom.machines import NEW_RESULTS

    path = report_folder(report.course) / RESULTS_FILE
    results, fits = results_of(report), True
    if results and keep and path.exists():
        try:
            results = results.with_lessons_of(read_results(path))
        except CourseError as error:
            path, fits = path.with_name(NEW_RESULTS), False
            print_error(CourseError(f"{error} Those of this run are in {path}."))
    if results:
        path.parent.mkdir(parents=True, exist_ok=True)
        results.save(path)
    return fits


def _run(
    course: "Course", lessons: "Sequence[Lesson]", limit: float, core: bool
) -> "list[LessonRun]":
    """Run them under one bar; each lesson takes as much of it as it took last time.

    Raises:
        KeyboardInterrupt: before any ended; later those that ended are all that is returned.
    """
    from course_app.authoring.run import expected_seconds, run_lessons

    runs: list[LessonRun] = []
    expected = expected_seconds(course, lessons)
    before = 0.0
    with progress_bar() as bar:
        task = bar.add_task("starting", total=sum(expected.values()))

        def show(lesson: "Lesson", done: int, cells: int) -> None:
            share = expected[lesson.slug] * done / cells
            bar.update(task, description=lesson.slug, completed=before + share)

        try:
            for run in run_lessons(course, lessons, cell_seconds=limit, core=core, progress=show):
                before += expected[run.lesson.slug]
                runs.append(run)
                _print_run(run)
        except KeyboardInterrupt:
            if not runs:
                raise
    return runs


def _print_run(run: "LessonRun") -> None:
    from rich.markup import escape

    how = "[red]failed[/] after" if run.failure else "[green]passed[/] in"
    status().print(f"{run.lesson.slug}: {how} {run.seconds:.0f} s")
    if run.failure:
        status().print(f"  {escape(str(run.failure))}", soft_wrap=True)


def _print_summary(report: "Report") -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("Claim", "The guide says", "Verdict", "Number"):
        table.add_column(name)
    for row in report.rows:
        for _, verdict in row.verdicts:
            told = (row.claim.id, row.claim.says, verdict.verdict, verdict.number)
            table.add_row(*map(escape, told))
    if table.rows:
        output().print(table)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items())
    output().print(f"Claims: {counts}.")
