"""``course machines``: many machines' results on one page."""

from pathlib import Path
from typing import Annotated

import typer

from course_app.cli.console import output, status

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Files results.json, an entry a machine.")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the page goes; build/machines.")
]


def machines(folder: Folder, out: Out = None) -> None:
    """Lay the results of many machines side by side: their spread, and which verdicts flip.

    FOLDER holds what `course run` wrote to build/report/results.json, under names of your own or
    in a folder for each learner. What is no result is a remark on the page.
    """
    from course_app.authoring.contents import find_course
    from course_app.classroom.machines import read_machines, write_machines

    course = find_course()
    found = read_machines(folder)
    for remark in found.remarks:
        status().print(remark, markup=False, soft_wrap=True)
    index = write_machines(found, course, out or course.root / "build" / "machines")
    flips = sum(spread.flips for spread in found.spreads(course))
    output().print(f"Runs: {len(found.entries)}. Verdicts that flip: {flips}.")
    output().print(f"The page: {index}", soft_wrap=True)
