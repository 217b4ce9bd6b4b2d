"""``course lab``: JupyterLab, open on the course."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.contents import Course

#: JupyterLab's application settings; without the question about Jupyter news.
_SETTINGS = Path(__file__).parent / "jupyterlab"

NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address.")]
More = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- JUPYTER OPTION]...", help="Handed on to JupyterLab."),
]


def lab(no_browser: NoBrowser = False, more: More = None) -> None:
    """Open JupyterLab on the course, at the first lesson."""
    from course_app.authoring.contents import find_course

    course = find_course()
    notebook = _first_notebook(course)
    _trust(course)
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={course.root}"]
    command += [
        f"--LabApp.default_url=/lab/tree/{notebook}",
        f"--LabApp.app_settings_dir={_SETTINGS}",
    ]
    command += ["--no-browser"] if no_browser else []
    # Jupyter refuses to run as root without it; in containers and on Colab one often is.
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    sys.stdout.flush()
    os.execv(sys.executable, [*command, *(more or [])])


def _first_notebook(course: "Course") -> str:
    """Its path from the course's folder."""
    for lesson in course.lessons:
        path = course.notebook("notebooks", lesson)
        if path.is_file():
            return path.relative_to(course.root).as_posix()
    raise CourseError("There is no notebook yet: run `course build` first.")


def _trust(course: "Course") -> None:
    """Sign the course's own notebooks: JupyterLab shows vector figures of trusted ones only."""
    from nbformat.sign import NotebookNotary

    from course_app.authoring.build import LESSONS
    from course_app.authoring.notebook import read_notebook

    notary = NotebookNotary()  # type: ignore[no-untyped-call]
    for lesson in course.lessons:
        path = course.notebook(LESSONS, lesson)
        if path.is_file():
            notary.sign(read_notebook(path))  # type: ignore[no-untyped-call]
