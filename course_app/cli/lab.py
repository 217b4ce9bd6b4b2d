"""``course lab``: JupyterLab, open on the course."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from course_app.errors import CourseError

if TYPE_CHECKING:
    from course_app.authoring.contents import Course

NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address.")]
More = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- JUPYTER OPTION", help="Handed on to JupyterLab."),
]


def lab(no_browser: NoBrowser = False, more: More = None) -> None:
    """Open JupyterLab on the course, at the first lesson."""
    from course_app.authoring.contents import find_course

    course = find_course()
    notebook = _first_notebook(course)
    _trust(course)
    options = ["--no-browser"] if no_browser else []
    # Jupyter refuses to run as root without it; in containers and on Colab one often is.
    options += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []

    from course_app.cli.jupyterlab.server import serve

    serve(course.root, notebook, [*options, *(more or [])])


def _first_notebook(course: "Course") -> str:
    """Its path from the course's folder."""
    from course_app.authoring.contents import LESSONS

    for lesson in course.lessons:
        path = course.notebook(LESSONS, lesson)
        if path.is_file():
            return path.relative_to(course.root).as_posix()
    raise CourseError("There is no notebook yet: run `course build` first.")


def _trust(course: "Course") -> None:
    """Sign the course's own notebooks: of others JupyterLab takes styles out."""
    import nbformat
    from nbformat.sign import NotebookNotary

    from course_app.authoring.contents import TREES

    # A home that nobody may write to keeps no signatures: the course opens all the same.
    with suppress(OSError):
        notary: Any = NotebookNotary()  # type: ignore[no-untyped-call]
        for tree in TREES:
            for path in (course.root / tree).glob("*.ipynb"):
                # JupyterLab reports a file that is no notebook when it is opened.
                with suppress(Exception):
                    notary.sign(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
