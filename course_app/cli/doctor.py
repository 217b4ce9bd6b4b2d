"""``course doctor``: is this machine fit for the course, and what to do if not."""

from typing import TYPE_CHECKING

import typer

from course_app.cli.console import Json, output, print_json, status

if TYPE_CHECKING:
    from course_app.cli.checks import Check

_MARKS = {"ok": "[green]✓ ok[/]", "note": "[yellow]! note[/]", "problem": "[red]✗ problem[/]"}


def doctor(json: Json = False) -> None:
    """Check this machine: cores, memory, versions, services, load generator, noise.

    Says what to do about each problem; fails if the course cannot run as it is.
    """
    from course_app.cli.checks import all_checks, perform

    checks = []
    for name, check in all_checks():
        with status().status(f"{name} ...", refresh_per_second=1):
            checks.append(perform(name, check))
        if not json:
            _print(checks[-1])
    if json:
        print_json({"checks": [check.to_dict() for check in checks]})
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(1)


def _print(check: "Check") -> None:
    from rich.markup import escape

    output().print(f"{_MARKS[check.state]}  {check.name}: {escape(check.found)}", soft_wrap=True)
    if check.advice:
        output().print(f"     {escape(check.advice)}", soft_wrap=True)
