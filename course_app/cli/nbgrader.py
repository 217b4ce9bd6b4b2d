"""``course nbgrader``: the exercises as an nbgrader course."""

import importlib.util
import shlex
from pathlib import Path
from typing import Annotated

import typer

from course_app.cli.answer import with_exercise
from course_app.cli.console import Lessons, output

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The nbgrader course's folder.")]


def nbgrader(folder: Folder, lessons: Lessons = None) -> None:
    """Write the exercises as an nbgrader course: sources with its metadata, and its settings.

    A source that was edited since is kept. Then, in that folder: `nbgrader generate_assignment
    NN_slug`, as usual.
    """
    from course_app.authoring.contents import find_course
    from course_app.classroom.nbgrader_course import write_course

    course = find_course()
    chosen = course.select(lessons) if lessons else with_exercise(course)
    for path, outcome in write_course(course, chosen, folder).items():
        output().print(f"{path}: {outcome}", soft_wrap=True, markup=False)
    if importlib.util.find_spec("nbgrader") is None:
        output().print("nbgrader itself is not installed here: `make instructor` adds it.")
    slug = chosen[0].slug
    place = shlex.quote(str(folder))
    following = f"Next: cd {place} && nbgrader generate_assignment {slug}"
    output().print(following, soft_wrap=True, markup=False)
