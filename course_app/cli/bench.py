"""``course bench``: the project's own benchmarks."""

from typing import TYPE_CHECKING, Annotated

import typer

from course_app.cli.console import Json, output, print_error, print_json, status
from course_app.errors import CourseError

if TYPE_CHECKING:
    from benchmarks import BenchResult

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Benches; all if none is named.")
]
Exercises = Annotated[
    list[str] | None,
    typer.Option("--exercise", metavar="NN", help="Let `checks` try this exercise only; repeat."),
]
Listed = Annotated[bool, typer.Option("--list", help="Say which benches there are.")]


def bench(
    names: Names = None,
    exercise: Exercises = None,
    list_only: Listed = False,
    json: Json = False,
) -> None:
    """Measure the course's own tools against what they promise.

    The generator against wrk, a server in a thread against one in a process, how often
    comparisons and checks err. Takes minutes, `checks` hours, and wants the machine for itself.
    """
    from benchmarks import bench_names, bench_title

    if list_only:
        for name in bench_names():
            output().print(f"{name}: {bench_title(name)}", soft_wrap=True)
        return
    unknown = sorted(set(names or []) - set(bench_names()))
    if unknown:
        known = ", ".join(bench_names())
        raise CourseError(f"There is no bench {', '.join(unknown)}. Choose from: {known}.")
    if exercise and set(names or []) - {"checks"}:
        raise CourseError("--exercise is for `checks` alone: course bench checks --exercise 04")
    asked = ["checks"] if exercise else names or bench_names()
    results = _results(asked, exercise or [], show=not json)
    if json:
        print_json({name: result and result.to_dict() for name, result in results.items()})
    if any(result is None or result.failed for result in results.values()):
        raise typer.Exit(1)


def _results(
    names: list[str], exercises: list[str], *, show: bool
) -> "dict[str, BenchResult | None]":
    """The result of each bench, None for one that could not run; the rest goes on."""
    from benchmarks import run_bench

    results: dict[str, BenchResult | None] = {}
    for name in names:
        results[name] = None
        try:
            with status().status(f"{name} ...", refresh_per_second=1) as spinner:
                options = {"exercises": exercises, "progress": spinner.update}
                result = run_bench(name, **(options if name == "checks" else {}))
                results[name] = result
        except CourseError as error:
            print_error(error)
            continue
        if show:
            _print(result)
    return results


def _print(result: "BenchResult") -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=result.title, title_justify="left")
    for index, column in enumerate(result.columns):
        table.add_column(column, justify="right" if index else "left")
    for row in result.rows:
        table.add_row(*(escape(cell) for cell in row))
    output().print(table)
    for sentence, held in result.requirements.items():
        mark = {True: "[green]held[/]", False: "[red]missed[/]", None: "[yellow]cannot tell[/]"}
        output().print(f"  {mark[held]}: {escape(sentence)}", soft_wrap=True)
    for note in result.notes:
        output().print(f"  {escape(note)}", soft_wrap=True)
